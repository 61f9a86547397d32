"""The engine `speech`: OpenAI's `/v1/audio/speech` over espeak-ng and ffmpeg, as one process on a unix socket.

Rule of this room: an engine like others, so it knows nothing of the router and imports nothing of the house. It starts
with every request that finds it stopped, so it takes the standard library and no more. What a client sends reaches
espeak-ng as text on its standard input, and as a voice that has been looked up in a list: never as an option.
"""
