package secret

// WithCapacity has so many windows known at most until the function that it returns is called.
func WithCapacity(n int) (restore func()) {
	before := maxWindows
	maxWindows = n
	return func() { maxWindows = before }
}
