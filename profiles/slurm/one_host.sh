#!/usr/bin/env bash
# Start SLURM on this machine alone, without systemd, to try the profile: `profiles/slurm/one_host.sh start FOLDER`, and `stop`.
# As root, with Debian's packages slurmctld, slurmd, slurm-client and munge. FOLDER gets logs and state; `start_slurmd` starts
# the node's daemon again after it was killed. Each start has ports, keys and a state of its own.
set -euo pipefail
folder=$(realpath -m "$2")

stop() {
    for name in slurmd slurmctld munged; do
        [ -f "$folder/$name.pid" ] && kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
    done
    [ "$(readlink /etc/slurm/slurm.conf)" = "$folder/slurm.conf" ] && rm /etc/slurm/slurm.conf
}

start_slurmd() {
    slurmd 2>/dev/null
}

start() {
    # The plugin removes SLURM's variables from its jobs, so they find the configuration at its usual place only.
    mkdir -p /etc/slurm && ln -s "$folder/slurm.conf" /etc/slurm/slurm.conf # fails where SLURM is already set up
    mkdir -p "$folder"/{munge,state,spool} && chmod 755 "$folder" && chmod 700 "$folder/munge"
    port=$((20000 + RANDOM % 20000))
    dd if=/dev/urandom of="$folder/munge/key" bs=128 count=1 status=none && chmod 400 "$folder/munge/key"
    chown -R munge "$folder/munge" && chmod 711 "$folder/munge"
    cat > "$folder/slurm.conf" <<CONF
ClusterName=one_host
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdTimeout=20
InactiveLimit=0
MinJobAge=86400
SchedulerParameters=sched_interval=2,batch_sched_delay=1
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    su -s /bin/sh munge -c "munged --force --key-file=$folder/munge/key --socket=$folder/munge/socket \
        --pid-file=$folder/munge/pid --log-file=$folder/munge/log --seed-file=$folder/munge/seed"
    cp "$folder/munge/pid" "$folder/munged.pid"
    slurmctld
    start_slurmd
    for _ in $(seq 60); do
        sinfo -h -o %T 2>/dev/null | grep -q idle && return
        sleep 0.5
    done
    echo "SLURM did not start; see $folder/*.log" >&2
    return 1
}

"$1"
