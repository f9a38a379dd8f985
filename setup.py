"""Packaging: what is installed, what it needs, and the `interp` command."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name="interp",
    version="0.1.0",
    description="Record what happens inside PyTorch models and look at it beside the text.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    python_requires=">=3.11,<3.14",
    # With an explicit root an editable install is one path in a .pth file, with no import hook
    # that type checkers cannot follow and that every start would pay for.
    package_dir={"": "."},
    packages=find_packages(include=["interp*", "dashboard*", "probes*"]),
    package_data={
        "interp": ["py.typed", "models/zoo/**"],
        "dashboard": ["py.typed", "assets/**", "components/*.js", "components/*.css"],
        "probes": ["py.typed"],
    },
    entry_points={"console_scripts": ["interp = interp.cli.main:main"]},
    install_requires=[
        "torch>=2.6",
        "numpy>=2.0",
        "h5py>=3.11",
        "safetensors>=0.5",
        "pandas>=2.2",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "umap-learn>=0.5.7",
        "numba>=0.61",
        "captum>=0.8",
        "typer>=0.15",
        "rich>=13.7",
        # Earlier 4.x has a hole in its background callbacks.
        "dash>=4.4.1,<5",
        "dash-ag-grid>=35",
        "waitress>=3.0.1",
        "pygments>=2.18",
    ],
    extras_require={
        "hf": ["transformers>=5", "tokenizers>=0.22", "huggingface-hub>=1"],
        # Corpora of picture files.
        "images": ["pillow>=11"],
        # Reading GGUF files, such as SmolLM2's from its package.
        "llm": ["transformers>=5", "tokenizers>=0.22", "gguf>=0.17", "accelerate>=1.5"],
        # Parsers of other languages than Python, for annotations.
        "concepts": [
            "tree-sitter>=0.25",
            "tree-sitter-c",
            "tree-sitter-cpp",
            "tree-sitter-go",
            "tree-sitter-java",
            "tree-sitter-javascript",
            "tree-sitter-rust",
            "tree-sitter-typescript",
        ],
        "dev": [
            "pytest>=9",
            "pytest-xdist",
            "pytest-timeout",
            "pytest-playwright",
            "axe-playwright-python",
            "hypothesis",
            "psutil",
            "ruff",
            "mypy",
        ],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    zip_safe=False,
)
