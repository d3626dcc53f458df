"""No code reads people's rows past a release; and the rule that says so finds each way round it that was planted.

It is asked of `components/` and `flows/`, which meet people. `bench/` and the tests read simulated and published rows.
"""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from tests.architecture.private_reads import findings, seen
from tests.architecture.seen import SEEN
from tests.architecture.source import product, tree

ROOMS = ("components/services/ads/data.py", "components/stages/peek.py", "flows/peek.py", "components/serving/peek.py")

PLANTED = {
    "a table read where it lies": ("table", "pq.read_table(run.data / 'split' / which)"),
    "a reader by another name": ("table", "from pyarrow.parquet import read_table as look\nlook(path)"),
    "a reader that is not called here": ("table", "look = pq.read_table"),
    "a reader by its name as text": ("table", "getattr(pq, 'read_table')(path)"),
    "a reader by a name in two parts": ("table", "getattr(pq, 'read_' + 'table')(path)"),
    "a reader out of a module's dict": ("table", "pq.__dict__['read_table'](path)"),
    "pandas": ("table", "import pandas as pd\npd.read_parquet(path)"),
    "a lazy scan": ("table", "frame.scan_parquet(path)"),
    "row groups": ("table", "pq.ParquetFile(path).read_row_group(0)"),
    "DuckDB": ("table", "import duckdb\nduckdb.sql(query)"),
    "Ibis, late": ("table", "def peek(path):\n    import ibis\n    return ibis.duckdb.connect()"),
    "Arrow's datasets": ("table", "import pyarrow.dataset as ds\nds.dataset(path)"),
    "an array that is mapped": ("table", "np.memmap(path, dtype='u1')"),
    "a database of a source": ("table", "import sqlalchemy\nsqlalchemy.create_engine(url)"),
    "a file that is opened": ("file", "with open(run.data / 'split' / which, 'rb') as file:\n    file.seek(4)"),
    "a file that a path opens": ("file", "path.open('rb')"),
    "a file that the class of paths opens": ("file", "Path.open(path, 'rb')"),
    "bytes of a file": ("file", "rows_of(path.read_bytes())"),
    "a copy to where it is released": ("file", "shutil.copyfile(table, run.models('ads') / 'table')"),
    "a link to where it is released": ("file", "(run.models('ads') / 'table').symlink_to(table)"),
    "another program": ("file", "subprocess.run(['duckdb', '-c', query])"),
    "a shell": ("file", "os.system(command)"),
    "a table by its name": ("path", "look(root, 'train.parquet')"),
    "a table by a name in parts": ("path", "look(f'{root}/data/split/{which}')"),
    "a query on a table": ("path", "ask(\"SELECT user FROM 'data/prepared/interactions.parquet'\")"),
    "the private attribute": ("open", "rows._load()"),
    "the private attribute by its name": ("open", "getattr(rows, '_load')()"),
    "the private attribute in two parts": ("open", "getattr(rows, '_lo' + 'ad')()"),
    "the private attribute by a getter": ("open", "operator.attrgetter('_load')(rows)()"),
    "what a function has closed over": ("open", "rows.map.__func__.__closure__[0].cell_contents"),
    "what is inside of an object": ("open", "object.__getattribute__(rows, name)()"),
    "what is inside of it, as a dict": ("open", "vars(rows)[name]()"),
    "a pickle": ("open", "import pickle\npickle.dumps(rows)"),
    "all objects that there are": ("open", "import gc\n[one for one in gc.get_objects()]"),
    "the frames below": ("open", "sys._getframe(1)"),
    "one that is declared public here": (
        "open",
        "Private(_load=load, digest='d', blocks=(), split='train', public=True)",
    ),
    "one that is made public by replacing": ("open", "replace(rows, public=True)"),
    "one that is made public by setting": ("open", "object.__setattr__(rows, 'public', True)"),
    "a class of its own": ("open", "class Mine(Private[int]):\n    pass"),
    "a private value that is opened as a public one": ("open", "rows.open_public()"),
    "what the ledger opens with": ("open", "from components.privacy.opened import Open\nopened = Open"),
    "a release without with": ("release", "ledger.release(one, key=key, of=rows).__enter__().value"),
    "a release on a stack": ("release", "opened = stack.enter_context(ledger.release(one, key=key, of=rows))"),
    "a value that is kept": (
        "release",
        "with ledger.release(one, key=key, of=rows) as opened:\n    kept = opened.value",
    ),
    "a value that is returned": (
        "release",
        "def peek():\n    with ledger.release(one, key=key, of=rows) as opened:\n        return opened.value",
    ),
    "a value that is printed": (
        "release",
        "with ledger.release(one, key=key, of=rows) as opened:\n    print(opened.value)",
    ),
    "a value in a list": (
        "release",
        "with ledger.release(one, key=key, of=rows) as opened:\n    a = list(opened.value)",
    ),
    "a value that is put aside": (
        "release",
        "with ledger.release(one, key=key, of=rows) as opened:\n    aside.append(opened.value)",
    ),
    "what opens, given away": ("release", "with ledger.release(one, key=key, of=rows) as opened:\n    look(opened)"),
    "what opens, put into an object": (
        "release",
        "with ledger.release(one, key=key, of=rows) as self.opened:\n    pass",
    ),
    "a transform that keeps": ("map", "rows.map(lambda table: kept.append(table), name='size')"),
    "a transform that names": ("map", "rows.map(lambda table: len(kept := table), name='size')"),
    "a transform that writes": (
        "map",
        "def size(table):\n    out.write_text(str(table))\n    return 1\nrows.map(size, name='size')",
    ),
    "a transform that sets": (
        "map",
        "def size(table):\n    kept[0] = table\n    return 1\nrows.map(size, name='size')",
    ),
    "a service's rows, read at once": ("map", "service.rows(table, items, params)"),
    "the trusted rooms' backend": ("import", "from components.data.backend import duckdb"),
    "the trusted rooms' reader": ("import", "from components.data import tables"),
    "the source itself": ("import", "from components.data.sources import open_source"),
    "code as text": ("dynamic", "eval(text)"),
    "a name that is only known when it runs": ("dynamic", "getattr(rows, name)()"),
}

ALLOWED = {
    "a release": """
        with ledger.release(one, key=key, of=rows) as opened:
            opened.intend(1)
            opened.ran(mechanism(opened.value, opened.intend, out))
            opened.keep(out)
        """,
    "a release by once": "settled = once(ledger, release, key, rows, mechanism)",
    "a private value of a private value": "sizes = rows.map(len, name='size')",
    "a service's rows, to be opened": "rows.map(lambda path: service.rows(path, items, params), name=view)",
    "the catalogue, which is public": "service.catalogue(run.data / 'split' / 'items.parquet', params)",
    "a record": "dataset = Dataset.read(run.data / 'split' / 'dataset.json')",
    "a table that is written": "pq.write_table(table, out)",
    "a figure's value": "kept = interval.value",
    "a lock": "lock.release()",
    "a flow": "step(train.run)(run)",
    "the ledger and a workspace": "Ledger.open(home, cap)\nRun.open(root)",
    "a map of another kind": "list(map(len, names))",
    "a record with another figure": "replace(account, rdp_spent=0.0)",
    "an attribute that is named": "getattr(event, 'steps', None)",
    "what the trusted rooms give to others": """
        from components.data.split import private_tables
        from components.data.pseudonym import digest_key
        from components.data.blocks import last_whole
        """,
    "words about a table": 'def read():\n    """Write train.parquet to data/split."""',
    "a class": "class Mine(Service):\n    value = 1",
}


def found(code: str, room: str) -> list[str]:
    return [one.rule for one in findings(Path(room), ast.parse(dedent(code)))]


def test_no_code_reads_rows_of_people_past_a_release() -> None:
    unseen = [one for path in product() for one in findings(path, tree(path)) if seen(one) is None]
    assert [str(one) for one in unseen] == [], (
        "mend it, or say in tests/architecture/seen.py why no person's row leaves"
    )


def test_every_place_that_was_seen_is_still_there() -> None:
    places = {seen(one) for path in product() for one in findings(path, tree(path))}
    assert {place: SEEN[place] for place in SEEN if place not in places} == {}


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("way", PLANTED)
def test_every_way_round_a_release_is_found(way: str, room: str) -> None:
    rule, code = PLANTED[way]
    assert rule in found(code, room)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("way", ALLOWED)
def test_what_goes_by_a_release_is_not_complained_of(way: str, room: str) -> None:
    assert found(ALLOWED[way], room) == []


@pytest.mark.parametrize("way", [way for way, (rule, _) in PLANTED.items() if rule == "open"])
def test_the_trusted_rooms_read_tables_and_open_nothing_for_others(way: str) -> None:
    assert "open" in found(PLANTED[way][1], "components/quality/peek.py")
    assert found(PLANTED["a table read where it lies"][1], "components/data/peek.py") == []


def test_a_place_that_was_seen_covers_its_own_function_and_rule_alone() -> None:
    code = (
        "def read_rows(path):\n    return pq.read_table(path)\ndef peek(rows):\n    return pq.read_table(rows._load())"
    )
    module = Path("components/services/recommend/data.py")
    assert [(one.function, one.rule) for one in findings(module, ast.parse(code)) if seen(one) is None] == [
        ("peek", "table"),
        ("peek", "open"),
    ]


@pytest.mark.parametrize("planted", ["def fit(rows):\n    return rows._load()\n", "import duckdb\n"])
@pytest.mark.parametrize("path", [path for path in product() if path.match("components/services/*/*.py")][:4], ids=str)
def test_a_real_module_with_a_planted_read_is_found(path: Path, planted: str) -> None:
    source = ast.unparse(tree(path)) + "\n" + planted
    assert any(seen(one) is None for one in findings(path, ast.parse(source)))
