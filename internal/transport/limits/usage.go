package limits

import (
	"fmt"
	"slices"
	"time"
)

// Usage compares the use of an origin by all clients with the limits, in a group this worker's part of them.
type Usage struct {
	Origin      string `json:"origin"`
	Asked       bool   `json:"asked"` // a request was admitted since the first of the clients joined
	Requests    Count  `json:"requests"`
	Connections Count  `json:"connections"`
	// Sessions counts the sessions of the user with most sessions; the caller sets Used.
	Sessions  Count     `json:"sessions"`
	PerSecond float64   `json:"requests_per_second,omitempty"`
	Waiting   []string  `json:"waiting,omitempty"`
	Windows   []string  `json:"maintenance_windows,omitempty"`
	Until     time.Time `json:"maintenance_until,omitzero"`
}

// Count is a number in use, its limit (zero means no limit) and the number of waiters.
type Count struct {
	Used    int `json:"used"`
	Limit   int `json:"limit"`
	Waiting int `json:"waiting,omitempty"`
}

func (c Count) String() string {
	s := fmt.Sprint(c.Used)
	if c.Limit > 0 {
		s += fmt.Sprintf(" of %d", c.Limit)
	}
	if c.Waiting > 0 {
		s += fmt.Sprintf(", %d waiting", c.Waiting)
	}
	return s
}

// Usage returns the use of the client's origin by all clients.
func (c *Client) Usage() Usage {
	until := c.Window()
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	count := func(s *semaphore, limit int) Count {
		return Count{Used: s.inUse, Limit: limit, Waiting: len(s.waiting)}
	}
	u := Usage{
		Origin:      l.origin,
		Asked:       l.granted > 0,
		Requests:    count(&l.requests, l.limits.Concurrent),
		Connections: count(&l.connections, l.limits.Connections),
		Sessions:    Count{Limit: l.sessions},
		PerSecond:   l.limits.PerSecond,
		Until:       until.UTC(),
	}
	for client := range l.clients {
		u.Waiting = append(u.Waiting, client.waitsNow(longWait).Reasons...)
	}
	for _, w := range l.limits.Windows {
		u.Windows = append(u.Windows, w.String())
	}
	for _, texts := range []*[]string{&u.Waiting, &u.Windows} {
		slices.Sort(*texts)
		*texts = slices.Compact(*texts)
	}
	return u
}
