"""Where documents and reference sets come from: files, folders and Hugging Face datasets."""
