package secret

// WithCapacity sets maxWindows to n. restore sets it back.
func WithCapacity(n int) (restore func()) {
	previous := maxWindows
	maxWindows = n
	return func() { maxWindows = previous }
}
