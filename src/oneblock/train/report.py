"""placeholder"""
def write_report(run, config): pass
