"""Where the page is served from, with which flags, to whom.

settings     the page's flags and environment variables
launch       serves the page until it is told to end
hosting      laptop, Space or ZeroGPU, and the queue that fits
visitors     who somebody is who comes by the network
strangers    what no page of ours sends, answered in words
judging      whole tables judged behind the page's back, one at a time
files        files that come and go with the page, bounded
proxies      the proxies of the environment, as far as they can be used
share        the public link with its code for phones
compression    what is sent, made small
gradio_assets  Gradio's own scripts, asked for at once
first_paint    what stands in the page's HTML before its scripts have come
"""
