"""The names by which rows of people may be read, opened or carried off, for `private_reads`."""

from __future__ import annotations

import re

TRUSTED = ("components/data", "components/quality")
FILES_ARE_FREE = ("components/core", "components/privacy")
"""Rooms that open records, parameters, digests, locks and the ledger, and are given no path of a table by name."""
NEAR_ROWS = ("components/stages", "components/services", "components/training", "components/serving", "flows")
"""Rooms that hold private values or answer people: what they ask for by name is known when it is read."""
GUARDS = ("components/core/private.py", "components/privacy/opened.py")
MAKES_PRIVATE = ("components/core/private.py", "components/data/split.py")

READERS = re.compile(
    r"(read|scan)_(parquet|table|csv|tsv|json|ndjson|feather|ipc|ipc_stream|orc|excel|hdf|sql|sql_query|sql_table|"
    r"delta|avro|pickle|fwf|schema|metadata|row_group|row_groups|arrow|batches|database)|ParquetFile|ParquetDataset|"
    r"ParquetReader|iter_batches|open_csv|open_stream|open_file|memory_map|OSFile|from_parquet|load_dataset|fromfile|"
    r"memmap|loadtxt|genfromtxt|from_csv|read_raw"
)
LIBRARIES = {
    *("duckdb", "ibis", "polars", "sqlite3", "fastparquet", "pyspark", "dask", "vaex", "datasets", "deltalake", "csv"),
    *("pyarrow.dataset", "pyarrow.feather", "pyarrow.csv", "pyarrow.orc", "pyarrow.fs", "mmap", "h5py", "tables"),
    *("sqlalchemy", "adbc_driver_manager", "connectorx", "chdb", "datafusion"),
}
OPENS_FILES = {
    *("open", "read_text", "read_bytes", "fdopen", "load", "load_file", "safe_open", "copyfile", "copy2", "copytree"),
    *("copyfileobj", "move", "hardlink_to", "symlink_to", "link", "symlink", "sendfile", "system", "popen", "Popen"),
    *("run", "check_output", "check_call", "call", "getoutput", "create_subprocess_exec", "spawnv", "execv"),
}
ALSO_OTHER_THINGS = {"run", "call", "load", "link", "move"}
OF_FILES = {"subprocess", "os", "shutil", "np", "numpy", "torch", "joblib", "asyncio", "Path", "pathlib"}
NO_FILES = {"Ledger", "Run"}
"""Of ours: their `open` is another one."""
INSIDE = {
    *("_load", "__closure__", "cell_contents", "__getattribute__", "__reduce__", "__reduce_ex__", "__getstate__"),
    *("__setstate__", "__dict__", "__slots__", "__code__", "__globals__", "__setattr__", "__delattr__", "__wrapped__"),
    *("f_locals", "tb_frame", "f_back", "gi_frame", "_getframe", "getclosurevars", "get_referents", "get_objects"),
    *("get_referrers", "_orig_func", "_of"),
}
PICKLERS = {"pickle", "cloudpickle", "dill", "copyreg", "marshal", "shelve", "joblib", "ctypes", "gc", "cffi"}
DYNAMIC = {"eval", "exec", "compile", "__import__", "globals", "locals", "breakpoint"}
PEOPLE = re.compile(
    r"\.parquet\b|\bdata/(raw|checked|prepared|split)\b|^(raw|checked|prepared|split)/|"
    r"\b(events|interactions|messages|quarantine|train|validation|test)\.(parquet|csv|arrow|feather)\b"
)
PUBLIC_TABLE = re.compile(r"^(items|ads)\.parquet$")
ESCAPES = {
    *("print", "append", "extend", "insert", "add", "update", "setdefault", "put", "put_nowait", "send", "write"),
    *("writelines", "write_text", "write_bytes", "dump", "to_csv", "to_parquet", "to_pickle", "save", "tofile", "echo"),
    *("setattr", "log", "debug", "info", "warning", "error", "exception", "critical", "write_table", "emit", "post"),
}
AS_IT_IS = {"str", "repr", "list", "tuple", "set", "dict", "iter", "id", "copy", "deepcopy", "format", "vars", "next"}
"""Calls that give the value back as it is."""
FROM_DATA = {
    *(
        "components.data.versioning",
        "components.data.blocks",
        "components.data.turns",
        "components.data.pseudonym.digest_key",
        "components.data.pseudonym.fingerprint",
    ),
    *(
        "components.data.split.private_tables",
        "components.data.collect.Collected",
        "components.data.collect.window_key",
    ),
}
"""What other rooms may take from the trusted ones; a stage of the trusted zone is in `seen.py`."""
