def write_report(folder, bases):
    return ""
