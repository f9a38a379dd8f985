"""Documents are run and compared: code blocks execute, commands and links exist."""

import re

import pytest

from tests.project.source import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: [^>]+-->\n+)?```(\w+)\n(.*?)```", re.DOTALL)
COMMAND = {
    "sh": re.compile(r"^interp ([a-z]+(?: .*)?)$", re.MULTILINE),
    "console": re.compile(r"^\$ interp ([a-z]+(?: .*)?)$", re.MULTILINE),  # the rest is output
}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(path, language):
    """Return (first line, code) of the fenced blocks that are not excused."""
    text = path.read_text(encoding="utf-8")
    return [
        (text[: found.start(3)].count("\n") + 1, found[3])
        for found in BLOCK.finditer(text)
        if found[2] == language and not found[1]
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run_in_order(path, tmp_path, monkeypatch):
    code = blocks(path, "python")
    if not code:
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {"__name__": "document"}
    for line, block in code:
        # Blank lines in front, so that a traceback names the document's own line.
        exec(compile("\n" * (line - 1) + block, str(path), "exec"), names)


def test_commands_and_options_exist():
    import importlib

    import typer.main

    main = importlib.import_module("interp.cli.main")
    known = {}

    def learn(name, command):
        context = typer.Context(command)
        options = {o for p in command.get_params(context) for o in (*p.opts, *p.secondary_opts)}
        known[name] = options | {"--help", "-h"}
        for below, subcommand in getattr(command, "commands", {}).items():
            learn(f"{name} {below}".strip(), subcommand)

    learn("", typer.main.get_command(main.app))
    wrong = []
    for path in DOCUMENTS:
        for language, command in COMMAND.items():
            text = "".join(block for _, block in blocks(path, language)).replace("\\\n", " ")
            for found in command.finditer(text):
                words = found[1].split("#")[0].split(" ")
                # `interp train lstm -o ...`: the options are those of the subcommand.
                n_words = 2 if " ".join(words[:2]) in known else 1
                name, rest = " ".join(words[:n_words]), " ".join(words[n_words:])
                used = re.findall(r"(?<=\s)--?[a-z][a-z-]*", " " + rest)
                unknown = [o for o in used if o not in known.get(name, ())]
                if name not in known or unknown:
                    wrong.append(f"{path.name}: interp {name} {' '.join(unknown)}")
    assert not wrong, "\n".join(wrong)


def test_links_lead_to_files():
    wrong = []
    for path in DOCUMENTS:
        for target in LINK.findall(path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                wrong.append(f"{path.name}: {target}")
    assert not wrong


def test_every_page_is_named_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in DOCUMENTS[1:]:
        assert f"](docs/{path.name})" in readme, path.name


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        used = set(re.findall(r"`make ([a-z]+)", path.read_text(encoding="utf-8")))
        assert used <= targets, path.name


def test_the_layout_names_every_folder_of_the_packages():
    text = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    for folder in (ROOT / "interp").iterdir():
        if (folder / "__init__.py").exists():
            assert f"interp/{folder.name}/" in text
    listing = text.split("```")[1].strip()
    assert len(listing.splitlines()) == 12
    for name in re.findall(r"^(\S+)/ ", listing, re.MULTILINE):
        assert (ROOT / name).is_dir(), name
    for name in re.findall(r"`((?:interp|dashboard|probes|tests|docs)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
