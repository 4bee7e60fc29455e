package odatatest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Switches change how the service behaves. The zero value is a well-behaved service without server paging.
// Each can be set at the start, by Service.Set, or by POST /__demo/switch?name=…&value=…; README.md has the table.
type Switches struct {
	PageSize       int    // page-size: rows in a page of a feed; 0: one page
	ExpandPageSize int    // expand-page-size: rows in an expanded feed before its own next link; 0: all
	Links          string // links: absolute (default) or relative next links
	// Switch skiptoken: key (default; Microsoft's), offset (rows counted from the start) or opaque (the same, in
	// letters)
	SkipToken string
	// self-host: origin by which the service calls itself in every link, as behind a reverse proxy
	SelfHost string

	Servers   int // servers: application servers behind a dispatcher; 0: 1
	KillEvery int // kill-every: each so many requests the server that is to answer is killed; 0: never
	KillFor   int // kill-for: for how many requests it is away; 0: it is there again at once

	CSRF bool // csrf: writes need a token bound to a session
	// rotate-session: off (default) or both: whether the session id changes with a token fetch and with what follows it
	RotateSession string
	LockAfter     int    // lock-after: failed logons that lock the user; 0: never
	OmitNull      bool   // omit-null: properties that are null are left out
	Prefixes      bool   // prefixes: other namespace prefixes in Atom and $metadata
	V1            bool   // v1: {"d":[…]} without paging
	RefuseCount   bool   // refuse-count: $inlinecount is 400
	RefuseOrderBy bool   // refuse-orderby: $orderby is 400
	RefuseFormat  bool   // refuse-format: $format is 400, as in WCF Data Services
	Ignore        string // ignore: query options, with commas between them, that are taken and not heeded
	EndEarly      int    // end-early: feeds end after so many rows without a next link

	NoBatch    bool // no-batch: $batch is not there
	BatchLimit int  // batch-limit: bytes of a batch above which the server in front answers 413; 0: 16 MB
	// batch-stop: what stands after the first part of a batch that fails is not done, and its answers are missing
	BatchStop  bool
	Changesets string // changesets: any (default) or one: changesets of several operations are refused
	// refuse-match: If-Match for an entity without an ETag is 400, as services of WCF answer it
	RefuseMatch bool
	// Switch repeatability: a POST with a RequestID that was done before is not done again, and answered as then
	Repeatability bool

	Churn  int    // churn: rows deleted from, or inserted around, the part already read, after each page
	Differ string // differ: reorder or all: how a page differs when it is asked for again

	// Switch delta: "" (the default: changes are tracked in SAP's manner for who asks), links (every feed has a delta
	// link), off, or silent
	Delta       string
	DeltaQuotes string // delta-quotes: on (default) or off: whether tokens in delta links are quoted
	Tombstones  string // tombstones: on (default) or off: whether deltas contain deleted rows
	// token-in: delta (default), next or links: where ODP's tokens stand at the end of a feed, links: in DeltaLinksOf…
	// alone
	TokenIn string
	// Switch catalogue: how many services the catalogue holds, those that are here first; 0: there is no catalogue
	Catalogue int
	Job       time.Duration // job: how long ODP's first extractions take before their first byte
	Accepted  int           // accepted: so many next requests for tracked feeds are answered 202

	Match         string        // match: the faults below concern requests whose "METHOD path?query" contains this text
	Break         string        // break: reset, length or truncate: how the next feeds break off
	BreakAfter    int           // break-after: bytes of body before that
	BreakCount    int           // break-count: how many feeds
	Status        int           // status: code of the next answers
	StatusCount   int           // status-count: how many
	StatusBody    string        // status-body: json, xml, html, empty, or auto (default: as the request accepts)
	StatusCode    string        // status-code: SAP message code in them
	StatusMessage string        // status-message: text in them
	LogonPage     int           // logon-page: so many next answers are an HTML logon page with status 200
	LoseAnswer    int           // lose-answer: so many next writes are applied and the connection then dropped
	SlowFirstByte time.Duration // slow-first-byte: wait before each answer
	// repeat-pages: so many next links after the first page lead to the page on which they stand
	RepeatPages int
	// enqueue-locks: of so many writes in a hundred, those inside batches too, the entity is locked by another user
	EnqueueLocks int
	// fail-before, fail-after: so many requests to write in a hundred, batches as a whole, get no answer of their own
	// before, or after, they were applied
	FailBefore, FailAfter int

	// notify-to: where the channels of RFC destinations lead, such as http://127.0.0.1:8301
	NotifyTo   string
	NotifyUser string // notify-user: user:password for the listener
	NotifyOff  bool   // notify-off: nothing is sent, as when a queue was deleted; the store keeps what it is to
}

// switchDefinition ties a name to its field.
type switchDefinition struct {
	name  string
	parse func(s *Switches, text string) error
}

func number(name string, field func(*Switches) *int) switchDefinition {
	return switchDefinition{name, func(s *Switches, text string) error {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fmt.Errorf("expected a whole number, found %q", text)
		}
		*field(s) = int(n)
		return nil
	}}
}

// percent takes 0 to 100.
func percent(name string, field func(*Switches) *int) switchDefinition {
	d := number(name, field)
	return switchDefinition{name, func(s *Switches, text string) error {
		if n, err := strconv.Atoi(text); err != nil || n < 0 || n > 100 {
			return fmt.Errorf("expected a number from 0 to 100, found %q", text)
		}
		return d.parse(s, text)
	}}
}

func flag(name string, field func(*Switches) *bool) switchDefinition {
	return switchDefinition{name, func(s *Switches, text string) error {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("expected true or false, found %q", text)
		}
		*field(s) = on
		return nil
	}}
}

// word takes one of the choices, or any text where there are none.
func word(name string, field func(*Switches) *string, choices ...string) switchDefinition {
	return switchDefinition{name, func(s *Switches, text string) error {
		if len(choices) > 0 && !slices.Contains(choices, text) {
			return fmt.Errorf("expected one of %q, found %q", choices, text)
		}
		*field(s) = text
		return nil
	}}
}

var switchDefinitions = []switchDefinition{
	number("page-size", func(s *Switches) *int { return &s.PageSize }),
	number("expand-page-size", func(s *Switches) *int { return &s.ExpandPageSize }),
	word("links", func(s *Switches) *string { return &s.Links }, "absolute", "relative"),
	word("skiptoken", func(s *Switches) *string { return &s.SkipToken }, "key", "offset", "opaque"),
	word("self-host", func(s *Switches) *string { return &s.SelfHost }),
	number("servers", func(s *Switches) *int { return &s.Servers }),
	number("kill-every", func(s *Switches) *int { return &s.KillEvery }),
	number("kill-for", func(s *Switches) *int { return &s.KillFor }),
	flag("csrf", func(s *Switches) *bool { return &s.CSRF }),
	word("rotate-session", func(s *Switches) *string { return &s.RotateSession }, "off", "both"),
	number("lock-after", func(s *Switches) *int { return &s.LockAfter }),
	flag("omit-null", func(s *Switches) *bool { return &s.OmitNull }),
	flag("prefixes", func(s *Switches) *bool { return &s.Prefixes }),
	flag("v1", func(s *Switches) *bool { return &s.V1 }),
	flag("refuse-count", func(s *Switches) *bool { return &s.RefuseCount }),
	flag("refuse-orderby", func(s *Switches) *bool { return &s.RefuseOrderBy }),
	flag("refuse-format", func(s *Switches) *bool { return &s.RefuseFormat }),
	word("ignore", func(s *Switches) *string { return &s.Ignore }),
	number("end-early", func(s *Switches) *int { return &s.EndEarly }),
	number("churn", func(s *Switches) *int { return &s.Churn }),
	word("differ", func(s *Switches) *string { return &s.Differ }, "", "reorder", "all"),
	word("delta", func(s *Switches) *string { return &s.Delta }, "", "links", "off", "silent"),
	number("catalogue", func(s *Switches) *int { return &s.Catalogue }),
	word("delta-quotes", func(s *Switches) *string { return &s.DeltaQuotes }, "on", "off"),
	word("tombstones", func(s *Switches) *string { return &s.Tombstones }, "on", "off"),
	word("token-in", func(s *Switches) *string { return &s.TokenIn }, "", "delta", "next", "links"),
	{"job", func(s *Switches, text string) (err error) {
		s.Job, err = time.ParseDuration(text)
		return err
	}},
	number("accepted", func(s *Switches) *int { return &s.Accepted }),
	word("match", func(s *Switches) *string { return &s.Match }),
	word("break", func(s *Switches) *string { return &s.Break }, "", "reset", "length", "truncate"),
	number("break-after", func(s *Switches) *int { return &s.BreakAfter }),
	number("break-count", func(s *Switches) *int { return &s.BreakCount }),
	number("status", func(s *Switches) *int { return &s.Status }),
	number("status-count", func(s *Switches) *int { return &s.StatusCount }),
	word("status-body", func(s *Switches) *string { return &s.StatusBody }, "auto", "json", "xml", "html", "empty"),
	word("status-code", func(s *Switches) *string { return &s.StatusCode }),
	word("status-message", func(s *Switches) *string { return &s.StatusMessage }),
	flag("no-batch", func(s *Switches) *bool { return &s.NoBatch }),
	number("batch-limit", func(s *Switches) *int { return &s.BatchLimit }),
	flag("batch-stop", func(s *Switches) *bool { return &s.BatchStop }),
	word("changesets", func(s *Switches) *string { return &s.Changesets }, "any", "one"),
	flag("refuse-match", func(s *Switches) *bool { return &s.RefuseMatch }),
	flag("repeatability", func(s *Switches) *bool { return &s.Repeatability }),
	number("logon-page", func(s *Switches) *int { return &s.LogonPage }),
	number("lose-answer", func(s *Switches) *int { return &s.LoseAnswer }),
	percent("enqueue-locks", func(s *Switches) *int { return &s.EnqueueLocks }),
	percent("fail-before", func(s *Switches) *int { return &s.FailBefore }),
	percent("fail-after", func(s *Switches) *int { return &s.FailAfter }),
	word("notify-to", func(s *Switches) *string { return &s.NotifyTo }),
	word("notify-user", func(s *Switches) *string { return &s.NotifyUser }),
	flag("notify-off", func(s *Switches) *bool { return &s.NotifyOff }),
	number("repeat-pages", func(s *Switches) *int { return &s.RepeatPages }),
	{"slow-first-byte", func(s *Switches, text string) (err error) {
		s.SlowFirstByte, err = time.ParseDuration(text)
		return err
	}},
}

// SwitchNames are the names that Service.Set takes, apart from those of actions.
func SwitchNames() []string {
	var names []string
	for _, d := range switchDefinitions {
		names = append(names, d.name)
	}
	return names
}

// ActionNames are the names that Service.Set takes for what happens at once: expire-sessions ends all sessions, as a
// time-out does; expire-tokens makes all delta tokens so far unknown; unlock-users makes locked users try again.
func ActionNames() []string {
	return []string{"expire-sessions", "unlock-users", "expire-tokens"}
}

// Set changes one switch, or does what an action names. An unknown name or a value of the wrong form is an error.
func (s *Service) Set(name, text string) error {
	switch name {
	case "expire-sessions":
		s.front.expire()
		return nil
	case "expire-tokens":
		dead := map[string]int{}
		for name, o := range s.odp {
			dead[name] = o.base.changesSoFar() + 1
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lives++
		s.dead = dead
		return nil
	case "unlock-users":
		s.users.unlock()
		return nil
	case "servers":
		defer func() { s.front.employ(s.Switches().Servers) }()
	}
	for _, d := range switchDefinitions {
		if d.name == name {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := d.parse(&s.sw, text); err != nil {
				return fmt.Errorf("switch %s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("unknown switch %q; there are %s", name, strings.Join(append(SwitchNames(), ActionNames()...),
		", "))
}

// Switches gives the present state; counters show what is left of them.
func (s *Service) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sw
}

// hits throws the dice: true in so many cases of a hundred. The same requests in the same order have the same luck.
func (s *Service) hits(percent int) bool {
	if percent == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(100) < percent
}

// take uses up one of a counted fault.
func (s *Service) take(field func(*Switches) *int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := field(&s.sw)
	if *n == 0 {
		return false
	}
	*n--
	return true
}
