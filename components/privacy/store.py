"""The outputs of settled releases, each in a folder that is named by the digest of its content."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from components.core import digest
from components.core.errors import ContractBroken
from components.core.evidence import Record
from components.core.files import atomic_path


class Store:
    """Folders by content; a write is atomic, and content that is there is not written again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, output: Path | Record) -> str:
        """Store a folder, or a record as `<kind>.json` in a folder of its own, and return its digest.

        Raises:
            Unavailable: the disk is full.
        """
        if isinstance(output, Record):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".record.") as scratch:
                output.write(Path(scratch) / f"{output.kind}.json")
                return self.keep(Path(scratch))
        name = digest.of_path(output)
        if self.find(name) is None:
            with atomic_path(self.folder / name) as part:
                part.mkdir()
                for source in (path for path in sorted(output.rglob("*")) if path.is_file()):
                    target = part / source.relative_to(output)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
        return name

    def find(self, name: str | None) -> Path | None:
        """Return the folder with digest `name`, or None where it is gone.

        Raises:
            ContractBroken: its content is no longer what its name says.
        """
        if name is None or not (self.folder / name).is_dir():
            return None
        if (found := digest.of_path(self.folder / name)) != name:
            raise ContractBroken(
                f"The stored output {self.folder / name} was changed",
                value=found[:12],
                limit=name[:12],
                next_step="Restore it, or remove the folder and release again, which is charged.",
            )
        return self.folder / name
