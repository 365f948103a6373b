from hypothesis import settings

# a slow example on a busy machine is no failure
settings.register_profile("default", deadline=None)
settings.load_profile("default")
