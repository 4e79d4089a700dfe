"""The live demo: pictures of a source, the faces in them, what a trained network says of each, and events.

`sources` gives frames, `pipeline` finds faces and asks the networks, `session` remembers what was seen and
counts, `panel` shows it in JupyterLab and on Voilà's page.
"""
