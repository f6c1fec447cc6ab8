"""The demo's callbacks: plain functions that call the core and return images and sentences."""
