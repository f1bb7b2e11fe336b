package proc

// NamespaceRefused tells what starts so far have taught.
func NamespaceRefused() bool { return namespaceRefused.Load() }
