package secret

// WithCapacity sets maxWindows until restore is called.
func WithCapacity(n int) (restore func()) {
	before := maxWindows
	maxWindows = n
	return func() { maxWindows = before }
}
