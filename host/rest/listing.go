package rest

import "time"

// Listing is a page of GET /culvert/connectors: connectors in the order of urgency, failed ones first, then by name.
type Listing struct {
	// Counts are how many of the connectors that the search leaves are in each state of [Listed.State]; Total is their
	// sum.
	Counts map[string]int `json:"counts"`
	Total  int            `json:"total"`
	// Connectors are at most ?limit= of those in ?state=, behind the one of ?after=.
	Connectors []Listed `json:"connectors"`
	// Next is what ?after= takes for the page behind this one; "" where this is the last one.
	Next string `json:"next,omitempty"`
	// Silent are the workers of the group that have not said how far their tasks are, with the reason.
	Silent []string `json:"silent,omitempty"`
}

// Listed is a connector in one line.
type Listed struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Class string `json:"class"`
	// State is one word for the connector with all of its tasks, the first of these that holds: failed (it or one of
	// its tasks), paused, stopped, waiting-for-service, maintenance, throttled, running, idle.
	State string `json:"state"`
	// Since is when it came to that state; nil where that is not known.
	Since *time.Time `json:"since,omitempty"`
	// By is who wanted the target state or the configuration that it has: "user NAME", "file PATH"; "" where nobody
	// knows.
	By string `json:"by,omitempty"`
	// Cause is the first line of why it is in that state, Advice what is to be done; "" where there is nothing to say.
	Cause  string `json:"cause,omitempty"`
	Advice string `json:"advice,omitempty"`
	// Rows is how many rows were delivered in a second, as the mean of the last minute.
	Rows float64 `json:"rows_per_second"`
	// Tasks it has, and how many of them have failed.
	Tasks  int `json:"tasks"`
	Failed int `json:"failed_tasks"`
}
