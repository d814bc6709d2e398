"""Which reader a file is for: told by its content, and by its extension only where that rules a log out."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

from tocsin.readers import formats
from tocsin.readers.file import File
from tocsin.readers.reader import Reader

# Never logs, and often large or many: not opened at all. What is merely unlikely to be a log (.py, .txt) is.
_NEVER = frozenset(
    """
    7z a apng arrow avi bc bib bin blend bmp bz2 c caffemodel cc ckpt class cmake cpp cs css cu cuh cxx dart dcm
    deb dex dll doc docx dylib egg eot eps epub exe f90 faiss fbx feather fig flac gguf gif glb gltf go gradle
    gz h h5 hdf5 heic hh hpp htm html icns ico index inl ipp iso jar java joblib jpeg jpg js jsx keras kt la
    less lib lmdb lock lua m4a m4v map markdown mat md meta mid mjs mk mkv mlmodel mo mov mp3 mp4 mpeg mpg
    msgpack nc nii npy npz o obj odp ods odt ogg onnx opt orbax otf params parquet pb pbf pbtxt pcd pck pdf
    pdparams php pickle pkl pl plist ply png ppt pptx proto ps psd pt pth ptl pyc pyd pyi pyo pyx rar rb rknn
    root rpm rs rst safetensors scala scss so spm sql stl svg swift swp t7 tar tbz tex tflite tga tgz tif tiff
    tlb traineddata ts tsx ttf usd usdz vb vtk vue wasm wav webm webp weights whl wmv woff woff2 xls xlsx xml
    xsd xz zip zst
    """.split()  # noqa: SIM905
)


@cache
def all_readers() -> tuple[Reader, ...]:
    """The ``READER`` of each module of ``readers/formats``, in the order in which they are asked."""
    modules = (
        importlib.import_module(f"{formats.__name__}.{found.name}") for found in pkgutil.iter_modules(formats.__path__)
    )
    found = (module.READER for module in modules if hasattr(module, "READER"))
    return tuple(sorted(found, key=lambda reader: (reader.rank, reader.source)))


def never_a_log(name: str) -> bool:
    """Whether a file of this name is passed over unopened: images, weights, archives, media, compiled code."""
    if name.startswith("."):
        return True
    return "." in name and name.rpartition(".")[2].lower() in _NEVER and "tfevents" not in name


def reader_of(file: File, readers: Sequence[Reader] | None = None) -> Reader | None:
    """The first reader that knows the file by its content, None where none does.

    Raises:
        ReadError: The file cannot be read.
    """
    if not file.head:
        return None
    return next((reader for reader in (all_readers() if readers is None else readers) if reader.sniffs(file)), None)
