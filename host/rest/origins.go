package rest

import "time"

// Origins are the services that the connectors of all workers talk to.
type Origins struct {
	Origins []Origin `json:"origins"`
	// Silent are the workers that have not said, with the reason.
	Silent []string `json:"silent,omitempty"`
}

// Origin is what one worker uses of a service, against what it may use. Limits are those that hold for the worker at
// the moment: the strictest of its connectors', or its share in the group. 0 is none.
type Origin struct {
	Origin     string   `json:"origin"`
	WorkerID   string   `json:"worker_id"`
	Connectors []string `json:"connectors"`
	Requests   Use      `json:"requests"`
	// Connections are open ones, idle ones included.
	Connections Use `json:"connections"`
	Sessions    Use `json:"sessions"`
	// PerSecond is how many requests may begin in a second.
	PerSecond float64 `json:"requests_per_second,omitempty"`
	// Waiting says why requests wait that have waited for long.
	Waiting []string `json:"waiting,omitempty"`
	// Windows are the maintenance windows; Maintenance is when the one ends that is open.
	Windows     []string   `json:"maintenance_windows,omitempty"`
	Maintenance *time.Time `json:"maintenance_until,omitempty"`
	// Lockouts are logons that the service has refused.
	Lockouts []Lockout `json:"lockouts,omitempty"`
}

// Use is how much of something is used, and waited for, against the limit.
type Use struct {
	Used    int `json:"used"`
	Limit   int `json:"limit"`
	Waiting int `json:"waiting,omitempty"`
}
