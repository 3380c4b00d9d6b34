from cxrflow.imports import local_imports


def test_direct_indirect_and_local_imports_are_found_and_nothing_else(tmp_path):
    package = tmp_path / "cxrflow"
    (package / "room").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "room/__init__.py": "",
        "room/door.py": "import numpy\n\ndef f():\n    from cxrflow import lock\n",
        "lock.py": "import cxrflow.key as key\n",
        "key.py": "import cxrflow.lock\n",
        "unused.py": "",
    }.items():
        (package / name).write_text(text)
    script = tmp_path / "script.py"
    script.write_text("from cxrflow.room.door import f\n")
    names = [str(file.relative_to(package)) for file in local_imports(script, tmp_path)]
    assert names == ["__init__.py", "key.py", "lock.py", "room/__init__.py", "room/door.py"]
