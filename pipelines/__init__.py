"""Halide pipelines and their ahead-of-time build. Used while building only, never at run time."""
