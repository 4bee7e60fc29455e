package plugin

// Awake counts the modules whose code is there.
func Awake(m *Manager) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.origins {
		for _, x := range []*module{o.active, o.previous} {
			if x == nil {
				continue
			}
			x.mu.Lock()
			if x.code != nil {
				n++
			}
			x.mu.Unlock()
		}
	}
	return n
}
