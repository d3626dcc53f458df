"""The stages of the way, each one function: a line of `dvc.yaml` and a task of a flow call the same."""
