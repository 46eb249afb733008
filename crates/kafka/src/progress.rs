//! What a partition's reader has settled, and how that travels in a commit's metadata.
