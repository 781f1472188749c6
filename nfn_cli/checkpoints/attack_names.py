"""Names that no training script stores, and that files which attack their reader do.

Nothing that a file names is ever imported or run (see `unpickle`), whether it stands here or not. These files are
refused so that their owner hears of it.
"""

from __future__ import annotations

import builtins

# With all modules below them.
_MODULES = """
    _ctypes _io _pickle _posixsubprocess _socket _thread antigravity ast asyncio atexit bdb cProfile cffi cloudpickle
    code codeop commands concurrent ctypes dill dis distutils doctest ensurepip fcntl fileinput ftplib gc glob http
    httplib idlelib imaplib imp importlib inspect io joblib lib2to3 linecache marshal mmap multiprocessing nt ntpath
    operator os paramiko pdb pickle pickletools pip pipes pkgutil platform popen2 poplib posix posixpath pty
    pydoc requests resource runpy sched select setuptools shelve shutil signal site smtplib socket socketserver sqlite3
    ssl subprocess sys sysconfig tempfile telnetlib timeit trace traceback tty urllib urllib2 urllib3 venv
    webbrowser winreg xmlrpc zipapp zipfile zipimport
"""
_INNER_MODULES = ("numpy.ctypeslib", "numpy.distutils", "numpy.f2py", "numpy.lib", "numpy.testing", "torch.hub")
_NAMES = """
    functools.reduce numpy.fromfile numpy.load numpy.loads numpy.memmap numpy.save numpy.savez
    pandas.read_pickle threading.Thread threading.Timer types.CodeType types.FunctionType
"""
_MODULE_SET, _NAME_SET = frozenset(_MODULES.split()), frozenset(_NAMES.split())
_STORED = frozenset({"_io.BytesIO", "_io.StringIO", "io.BytesIO", "io.StringIO"})
# Where PyTorch keeps the functions that rebuild tensors, and those that networks are made of.
_TORCH_FUNCTIONS = (
    "torch._C._VariableFunctionsClass",
    "torch._C._nn",
    "torch._tensor",
    "torch._utils",
    "torch.distributed.tensor",
    "torch.nested",
    "torch.nn.functional",
    "torch.nn.init",
)
_NO_VALUES = frozenset({"classmethod", "filter", "map", "memoryview", "property", "staticmethod", "super", "type"})


def is_attack(module: str, name: str) -> bool:
    """Whether a file that names this is an attack, or what makes one.

    >>> is_attack("posix", "system"), is_attack("builtins", "eval"), is_attack("torch", "load")
    (True, True, True)
    >>> is_attack("argparse", "Namespace"), is_attack("builtins", "frozenset"), is_attack("torch.optim.adam", "Adam")
    (False, False, False)
    """
    whole = f"{module}.{name}"
    # A name with dots may lead from one module into another.
    if whole in _STORED:
        return False
    if whole.split(".", 1)[0] in _MODULE_SET or whole in _NAME_SET or _below(whole, _INNER_MODULES):
        return True
    if any(part.startswith("__") and part.endswith("__") for part in name.split(".")):
        return True
    if module == "builtins":
        return name in _NO_VALUES or not isinstance(getattr(builtins, name.split(".")[0], None), type)
    if whole.startswith("torch."):
        last = name.rpartition(".")[2].lstrip("_")
        return last[:1].islower() and not _below(whole, _TORCH_FUNCTIONS)
    return False


def _below(whole: str, modules: tuple[str, ...]) -> bool:
    return any(whole == module or whole.startswith(module + ".") for module in modules)
