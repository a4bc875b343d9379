"""What `rollout init` writes: a workflow and a rollout.yml that are ready but for what only a person knows."""

from rollout.init.pin import PLACEHOLDER, Pin, pin_of_this_program
from rollout.init.project import Project, project_at
from rollout.init.writing import FILL_IN, ROLLOUT_FILE, WORKFLOW_FILE, first_files, workflow_text

__all__ = [
    "FILL_IN",
    "PLACEHOLDER",
    "ROLLOUT_FILE",
    "WORKFLOW_FILE",
    "Pin",
    "Project",
    "first_files",
    "pin_of_this_program",
    "project_at",
    "workflow_text",
]
