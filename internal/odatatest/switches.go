package odatatest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Switches change how the service behaves. The zero value is a well-behaved service without server paging.
// Each can be set at the start, by Service.Set, or by POST /__demo/switch?name=…&value=…; README.md has the table.
type Switches struct {
	PageSize       int    `switch:"page-size"`               // rows in a page of a feed; 0: one page
	ExpandPageSize int    `switch:"expand-page-size"`        // rows in an expanded feed before its own next link; 0: all
	Links          string `switch:"links,absolute,relative"` // absolute (default) or relative next links
	// key (default; Microsoft's), offset (rows counted from the start) or opaque (the same, in letters)
	SkipToken string `switch:"skiptoken,key,offset,opaque"`
	// origin by which the service calls itself in every link, as behind a reverse proxy
	SelfHost string `switch:"self-host"`

	Servers int `switch:"servers"` // application servers behind a dispatcher; 0: 1
	// each so many requests the server that is to answer is killed; 0: never
	KillEvery int `switch:"kill-every"`
	KillFor   int `switch:"kill-for"` // for how many requests it is away; 0: it is there again at once

	CSRF bool `switch:"csrf"` // writes need a token bound to a session
	// off (default) or both: whether the session id changes with a token fetch and with what follows it
	RotateSession string `switch:"rotate-session,off,both"`
	LockAfter     int    `switch:"lock-after"`     // failed logons that lock the user; 0: never
	OmitNull      bool   `switch:"omit-null"`      // properties that are null are left out
	Prefixes      bool   `switch:"prefixes"`       // other namespace prefixes in Atom and $metadata
	V1            bool   `switch:"v1"`             // {"d":[…]} without paging
	RefuseCount   bool   `switch:"refuse-count"`   // $inlinecount is 400
	RefuseOrderBy bool   `switch:"refuse-orderby"` // $orderby is 400
	RefuseFormat  bool   `switch:"refuse-format"`  // $format is 400, as in WCF Data Services
	Ignore        string `switch:"ignore"`         // query options, with commas between them, that are ignored
	EndEarly      int    `switch:"end-early"`      // feeds end after so many rows without a next link

	NoBatch bool `switch:"no-batch"` // $batch is not there
	// bytes of a batch above which the server in front answers 413; 0: 16 MB
	BatchLimit int `switch:"batch-limit"`
	// BatchStop leaves undone what follows the first part of a batch that fails; its answers are missing.
	BatchStop bool `switch:"batch-stop"`
	// any (default) or one: changesets of several operations are refused
	Changesets string `switch:"changesets,any,one"`
	// If-Match for an entity without an ETag is 400, as services of WCF answer it
	RefuseMatch bool `switch:"refuse-match"`
	// a POST with a RequestID that was done before is not done again, and answered as then
	Repeatability bool `switch:"repeatability"`

	Churn int `switch:"churn"` // rows deleted from, or inserted around, the part already read, after each page
	// reorder or all: how a page differs when it is asked for again
	Differ string `switch:"differ,,reorder,all"`

	// "" (the default: changes are tracked in SAP's manner for who asks), links (every feed has a delta link), off,
	// or silent
	Delta string `switch:"delta,,links,off,silent"`
	// on (default) or off: whether tokens in delta links are quoted
	DeltaQuotes string `switch:"delta-quotes,on,off"`
	Tombstones  string `switch:"tombstones,on,off"` // on (default) or off: whether deltas contain deleted rows
	// delta (default), next or links: where ODP's tokens stand at the end of a feed, links: in DeltaLinksOf… alone
	TokenIn string `switch:"token-in,,delta,next,links"`
	// how many services the catalogue holds, those that are here first; 0: there is no catalogue
	Catalogue int           `switch:"catalogue"`
	Job       time.Duration `switch:"job"`      // how long ODP's first extractions take before their first byte
	Accepted  int           `switch:"accepted"` // so many next requests for tracked feeds are answered 202

	// Match is a text: the faults below concern requests whose "METHOD path?query" contains it.
	Match string `switch:"match"`
	// reset, length or truncate: how the next feeds break off
	Break       string `switch:"break,,reset,length,truncate"`
	BreakAfter  int    `switch:"break-after"`  // bytes of body before that
	BreakCount  int    `switch:"break-count"`  // how many feeds
	Status      int    `switch:"status"`       // code of the next answers
	StatusCount int    `switch:"status-count"` // how many
	// json, xml, html, empty, or auto (default: as the request accepts)
	StatusBody    string        `switch:"status-body,auto,json,xml,html,empty"`
	StatusCode    string        `switch:"status-code"`     // SAP message code in them
	StatusMessage string        `switch:"status-message"`  // text in them
	LogonPage     int           `switch:"logon-page"`      // so many next answers are an HTML logon page with status 200
	LoseAnswer    int           `switch:"lose-answer"`     // so many next writes are applied, and the connection dropped
	SlowFirstByte time.Duration `switch:"slow-first-byte"` // wait before each answer
	// so many next links after the first page lead to the page on which they stand
	RepeatPages int `switch:"repeat-pages"`
	// of so many writes in a hundred, those inside batches too, the entity is locked by another user
	EnqueueLocks int `switch:"enqueue-locks"`
	// so many requests to write in a hundred, batches as a whole, get no answer of their own before they were applied
	FailBefore int `switch:"fail-before"`
	FailAfter  int `switch:"fail-after"` // likewise, after they were applied

	// where the channels of RFC destinations lead, such as http://127.0.0.1:8301
	NotifyTo   string `switch:"notify-to"`
	NotifyUser string `switch:"notify-user"` // user:password for the listener
	// NotifyOff has nothing sent, as when a queue was deleted; the store keeps what it is to.
	NotifyOff bool `switch:"notify-off"`
}

// SwitchNames are the names that Service.Set takes, apart from those of actions.
func SwitchNames() []string {
	var names []string
	for f := range reflect.TypeFor[Switches]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("switch"), ",")
		names = append(names, name)
	}
	return names
}

// ActionNames are the names that Service.Set takes for what happens at once: expire-sessions ends all sessions, as a
// time-out does; expire-tokens makes all delta tokens so far unknown; unlock-users makes locked users try again.
func ActionNames() []string {
	return []string{"expire-sessions", "unlock-users", "expire-tokens"}
}

// parse gives a switch its value. The tag is its name, and behind it the words that it may be, where not any text.
func parse(to reflect.Value, tag, text string) error {
	_, words, some := strings.Cut(tag, ",")
	switch choices := strings.Split(words, ","); to.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		to.SetInt(int64(d))
		return err
	case int:
		n, err := strconv.ParseUint(text, 10, 31)
		to.SetInt(int64(n))
		return err
	case bool:
		on, err := strconv.ParseBool(text)
		to.SetBool(on)
		return err
	default:
		if some && !slices.Contains(choices, text) {
			return fmt.Errorf("expected one of %q, found %q", choices, text)
		}
		to.SetString(text)
		return nil
	}
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
	if at := slices.Index(SwitchNames(), name); at >= 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		changed := s.sw
		err := parse(reflect.ValueOf(&changed).Elem().Field(at), reflect.TypeFor[Switches]().Field(at).Tag.Get("switch"), text)
		if err != nil {
			return fmt.Errorf("switch %s: %w", name, err)
		}
		s.sw = changed
		return nil
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
