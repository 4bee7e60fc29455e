package config

// TaskConfigs are the planned tasks of a connector. They are immutable.
type TaskConfigs struct {
	Version  int64               // the offset of the record that committed them, which grows with each plan
	Settings []map[string]string // the settings of each task as written, references unresolved
	// Requirements are unknown (HasRequirements is false) if a worker of Kafka Connect planned the tasks.
	Requirements    Requirements
	HasRequirements bool
}

// Counts reports whether the tasks were planned for the settings at an offset, and may run in a target state.
func (t *TaskConfigs) Counts(offset int64, target string) bool {
	return len(t.Settings) > 0 && t.Version >= offset && (t.HasRequirements || target == TargetPaused)
}

// Requirements are the needs of a connector's tasks beyond their settings.
type Requirements struct {
	Claims    []string `json:"claims,omitempty"` // resources that no other connector may use at the same time
	Origin    string   `json:"origin,omitempty"`
	Requests  int      `json:"requests,omitempty"`
	PerSecond float64  `json:"per-second,omitempty"`
}

// TaskPlan is a connector's work divided into tasks, for its settings at an offset.
type TaskPlan struct {
	Offset int64               `json:"offset"` // the offset of the settings that were planned
	Tasks  []map[string]string `json:"tasks,omitempty"`
	Config map[string]string   `json:"-"` // the settings that were planned, as the user wrote them
	Requirements
}

// FencingCounts are the counts at the last fencing of a connector's producers.
type FencingCounts struct {
	Tasks int
	// Producers is the number of transactional producers of each task. Zero, which Kafka Connect records, means one.
	Producers int
	At        int64 // At is the offset of the record with the counts.
}

// Max returns the larger counts, with At of c.
func (c FencingCounts) Max(other FencingCounts) FencingCounts {
	return FencingCounts{Tasks: max(c.Tasks, other.Tasks), Producers: max(c.Producers, other.Producers), At: c.At}
}
