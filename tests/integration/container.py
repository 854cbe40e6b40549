"""What a target of the Dockerfile would hold, without Docker: its steps carried out in a folder.

Of what Docker does, this knows what our Dockerfile uses. A base image from outside stands for the
Python that the tests run on: its interpreter and standard library, without a package.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON: str = vars(sys)["_base_executable"]
SOFT_LIMIT = 1024
QUICK_PIP = {"PIP_NO_COMPILE": "1", "PIP_NO_CACHE_DIR": "0"}

Stages = dict[str, list[tuple[str, str]]]
"""By name; the first step of each is FROM."""


def read(dockerfile: Path = ROOT / "Dockerfile") -> Stages:
    stages: Stages = {}
    lines = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace(
        "\\\n", " "
    )
    for line in filter(None, map(str.strip, lines.splitlines())):
        step, _, rest = line.partition(" ")
        if step == "FROM":
            rest, _, name = rest.partition(" AS ")
            stages[name] = []
        stages[name].append((step, rest))
    return stages


@dataclass
class Image:
    """Below `folder`, what the image would have below /."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    @classmethod
    def build(cls, target: str, folder: Path, stages: Stages | None = None) -> "Image":
        """Carries out the target's steps, and of others those that it needs."""
        stages = read() if stages is None else stages
        image = cls(folder / target)
        image.folder.mkdir()
        image._take(target, stages, folder)
        return image

    def _take(self, target: str, stages: Stages, folder: Path) -> None:
        [(_, base), *steps] = stages[target]
        if base in stages:
            self._take(base, stages, folder)
        for step, rest in steps:
            if step == "COPY":
                self._copy(rest, stages, folder)
            elif step == "RUN":
                self.run(json.loads(rest), QUICK_PIP)
            else:
                self._set(step, rest)

    def _set(self, step: str, rest: str) -> None:
        match step:
            case "ENV":
                pairs = dict(item.split("=", 1) for item in shlex.split(rest))
                self.environment |= {name: self._inside(text) for name, text in pairs.items()}
            case "WORKDIR":
                self.working_directory = rest
                self._path(rest).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = rest
            case "ENTRYPOINT":
                self.entrypoint, self.command = json.loads(rest), []
            case "CMD":
                self.command = json.loads(rest)
            case "HEALTHCHECK":
                _, _, command = rest.partition("CMD ")
                self.healthcheck = json.loads(command) if command else []
            case _:
                assert step == "EXPOSE", f"the tests don't know {step}"

    def _copy(self, rest: str, stages: Stages, folder: Path) -> None:
        *options, source, destination = rest.split()
        if options:
            other = Image.build(options[0].removeprefix("--from="), folder, stages)
            found = other._path(source)
        else:
            found = ROOT / source
        place = self._path(destination)
        place.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, place)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """What the command prints, absolute paths in it being the image's; it must succeed."""
        done = subprocess.run(
            self._really([self._inside(argument) for argument in command]),
            cwd=self._path(self.working_directory),
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, environment: Mapping[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
        """Its entrypoint as its user, who can write nothing, with this environment alone.

        It may open few files at first, as in containers (containerd 2).
        """
        limited = ["prlimit", f"--nofile={SOFT_LIMIT}:", "--"]
        return subprocess.Popen(
            [*limited, *self.as_user([*self.entrypoint, *(arguments or self.command)])],
            cwd=self._path(self.working_directory),
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def is_healthy(self, environment: Mapping[str, str], path: str = "") -> bool:
        """Its HEALTHCHECK, or the same about another path."""
        command = [*self.healthcheck[:-1], path] if path else self.healthcheck
        return not subprocess.run(
            self.as_user(command),
            cwd=self._path(self.working_directory),
            env={**self.environment, **environment},
            capture_output=True,
            check=False,
        ).returncode

    def as_user(self, command: Sequence[str]) -> list[str]:
        """By a number that has no name. Only root can become another; who isn't stays itself.

        It may read everything, as the clone may lie where only root may look, and write nothing.
        """
        if os.geteuid() != 0:
            return self._really(command)
        user, _, group = self.user.partition(":")
        capabilities = ("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "+dac_read_search")
        return [
            *("setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"),
            *(*capabilities, "--", *self._really(command)),
        ]

    def _really(self, command: Sequence[str]) -> list[str]:
        """`pip` of the tests; `python` without any package but those in the image."""
        program, *arguments = command
        programs = {"pip": [sys.executable, "-m", "pip"], "python": [PYTHON, "-S"]}
        return [*programs.get(program, [program]), *arguments]

    def _inside(self, text: str) -> str:
        """Absolute paths, of several also, as they are here."""
        return ":".join(
            str(self._path(part)) if part.startswith("/") else part for part in text.split(":")
        )

    def _path(self, path: str) -> Path:
        return self.folder / path.lstrip("/")
