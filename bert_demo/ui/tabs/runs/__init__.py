"""The tab Runs.

tab         its components and events
views       the list, differences between runs, the best ones, as plain data
curves      curves of several runs in one figure
naming      its part that renames a run
downloads   a run's model as a zip and its numbers as a table
publish     its part that publishes a run's model
hub_models  its section of models from the Hub
"""
