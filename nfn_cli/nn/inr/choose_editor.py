"""Find a head that edits implicit neural representations, by name, folder or edit."""

from __future__ import annotations

from nfn_cli.nn.choose import head_folder, shipped_for
from nfn_cli.nn.inr.editor import EDIT, Editor, EditorConfig, read_editor, read_editor_config
from nfn_cli.shipped import models_folder


def load_editor(name: str, device: str = "cpu") -> Editor:
    """Load a shipped head that edits INRs by name, or any such head by folder.

    Raises:
        HeadError: it does not exist, cannot be read, or is for something else.
    """
    return read_editor(head_folder(name), device)


def shipped_editors(edit: str | None = None) -> dict[str, EditorConfig]:
    """The configuration of every shipped head that edits INRs, or makes one edit; those that edit best come first."""
    configs = {name: read_editor_config(models_folder() / name) for name in shipped_for(EDIT)}
    chosen = {name: config for name, config in configs.items() if edit in (None, config.edit)}
    return dict(sorted(chosen.items(), key=lambda item: item[1].kind.rank))
