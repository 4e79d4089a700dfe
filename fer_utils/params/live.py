"""50_live_demo, which shows trained networks at work and trains nothing."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fer_utils.params.base import Count, Parameters, Positive


class LiveDemo(Parameters):
    """50_live_demo."""

    kind = "live"

    model: str = Field(min_length=1)
    clip_model: str = Field(min_length=1)
    source: Literal["synthetic", "video", "folder"]
    source_path: str
    camera_index: int = Field(ge=0)
    seconds: Positive
    frame_rate: float = Field(ge=10, le=240)
    people: int = Field(ge=1, le=4)
    detector: Literal["haar", "yunet"]
    detector_path: str
    detect_every: Count
    most_faces: Count
    low_light: Literal["off", "auto", "on"]
    smoothing_seconds: float = Field(ge=0)
    photographs: int = Field(ge=0)
    data_path: str
    spotting_videos: int = Field(ge=0)
    spotting_seconds: float = Field(ge=8)
    spotting_frame_rate: float = Field(ge=25, le=240)
    latency_frames: int = Field(ge=20)
    usual_loop: bool
    memory_frames: int = Field(ge=0)
    seed: int = Field(ge=0)
    threads: Count

    @model_validator(mode="after")
    def _source_has_a_path(self) -> Self:
        if (self.source in ("video", "folder")) != bool(self.source_path):
            needed = "names the file or folder" if self.source != "synthetic" else "stays empty"
            raise ValueError(f"source={self.source!r}, source_path={self.source_path!r}: the path {needed}")
        return self

    @model_validator(mode="after")
    def _detector_path_is_for_yunet(self) -> Self:
        if self.detector == "haar" and self.detector_path:
            raise ValueError(f"detector_path={self.detector_path!r}: it is for yunet; leave it empty")
        return self

    @model_validator(mode="after")
    def _memory_is_measured_after_warming_up(self) -> Self:
        if 0 < self.memory_frames <= 1000:
            raise ValueError(
                f"memory_frames={self.memory_frames}: growth counts from frame 1,000 on; write more, or 0"
            )
        return self
