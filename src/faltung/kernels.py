class Kernel:
    pass
