package rest

// DiffAsked is a configuration that is not stored, as settings or as the text of a file of properties.
type DiffAsked struct {
	Name   string        `json:"name"`
	Config configuration `json:"config,omitempty"`
	Text   string        `json:"text,omitempty"`
}

// Comparison is what it would mean to store a configuration.
type Comparison struct {
	// Change is what would become of the connector that runs: nothing, in place, restart, create or refuse.
	Change
	// Version is what If-Match of PUT /connectors/{name}/config takes, so that nothing is stored over a change that
	// came meanwhile; "" for a connector that is not there.
	Version string `json:"version,omitempty"`
	// Differences are those between what runs and what was sent, by setting.
	Differences []Difference `json:"differences"`
	// Stored are those between what runs and what its file holds, where that is not what runs: they would be
	// overwritten. StoredProblem says why the file was not taken.
	Stored        []Difference `json:"stored,omitempty"`
	StoredProblem string       `json:"stored_problem,omitempty"`
	// Feeds are those whose offsets do not belong to the new settings (query.change), with what would become of them.
	Feeds []FeedChange `json:"feeds,omitempty"`
	// Kept says that the connector's configuration cannot be changed by this worker, and where it is changed; "" where
	// it can.
	Kept string `json:"kept,omitempty"`
}

// Difference is a setting that differs. Values of passwords are masked; "" and nil are different things.
type Difference struct {
	Setting string  `json:"setting"`
	Before  *string `json:"before"`
	After   *string `json:"after"`
	// Secret: the values are passwords.
	Secret bool `json:"secret,omitempty"`
}

// FeedChange is what would become of what a feed has read.
type FeedChange struct {
	Feed string `json:"feed"`
	// Effect is fail, reload or keep, as query.change says.
	Effect string `json:"effect"`
	// Differs names the settings by which its offset does not belong to it any more.
	Differs []string `json:"differs"`
}
