"""What the engine `speech` makes of a request, before anything is started. With espeak-ng: tests/job/test_speech.py."""
