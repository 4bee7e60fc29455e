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
	PageSize       int `switch:"page-size"`        // rows in a page of a feed; zero means one page
	ExpandPageSize int `switch:"expand-page-size"` // rows in an expanded feed; zero means all
	// absolute (default), relative, or encoded next links: relative with %24 for $, as of CAP
	Links string `switch:"links,absolute,relative,encoded"`
	// key (default; as Microsoft's services), offset (number of rows before) or opaque (that number as letters)
	SkipToken string `switch:"skiptoken,key,offset,opaque"`
	// origin in all links of the service, as behind a reverse proxy
	SelfHost string `switch:"self-host"`

	Servers int `switch:"servers"` // application servers behind a dispatcher; zero means one
	// number of requests after which the server that would answer is killed; zero means never
	KillEvery int `switch:"kill-every"`
	KillFor   int `switch:"kill-for"` // for how many requests it stays away

	CSRF bool `switch:"csrf"` // writes need a token bound to a session
	// off (default) or both: the session id changes with a token fetch and with the request after it
	RotateSession string `switch:"rotate-session,off,both"`
	// new (default) or 401: how a request in a session that has ended is answered, by a new session or by a page
	SessionEnd string `switch:"session-end,new,401"`
	// number of requests after which all sessions time out, again and again; zero means never
	ExpireEvery int  `switch:"expire-every"`
	OneSession  bool `switch:"one-session"` // a new session ends the user's others
	LockAfter   int  `switch:"lock-after"`  // failed logons that lock the user; zero means none do
	OmitNull    bool `switch:"omit-null"`   // null properties are left out
	// behind (default; as Olingo) or front (as CAP): place of the links of v4's pages, relative to value
	Annotations   string `switch:"annotations,behind,front"`
	ShortNames    bool   `switch:"short-names"`    // annotations of v4 have no odata. in their names
	PlainNumbers  bool   `switch:"plain-numbers"`  // IEEE754Compatible in Accept is ignored
	Prefixes      bool   `switch:"prefixes"`       // other namespace prefixes in Atom and $metadata
	V1            bool   `switch:"v1"`             // {"d":[…]} without paging
	RefuseCount   bool   `switch:"refuse-count"`   // $inlinecount is 400
	RefuseOrderBy bool   `switch:"refuse-orderby"` // $orderby is 400
	RefuseFormat  bool   `switch:"refuse-format"`  // $format is 400, as in WCF Data Services
	Ignore        string `switch:"ignore"`         // query options that are ignored, separated by commas
	EndEarly      int    `switch:"end-early"`      // number of rows after which feeds end without a next link

	NoBatch     bool `switch:"no-batch"`      // there is no $batch
	NoJSONBatch bool `switch:"no-json-batch"` // batches of v4 in JSON are answered 400, as by Olingo
	// bytes of a batch above which the server in front answers 413; zero means 16 MB
	BatchLimit int `switch:"batch-limit"`
	// parts of a batch after the first one that fails are not executed, and not answered
	BatchStop bool `switch:"batch-stop"`
	// parts of the response to a batch; later ones are executed and not answered; zero means all
	BatchAnswers int `switch:"batch-answers"`
	// any (default), or one: changesets of several operations are refused
	Changesets string `switch:"changesets,any,one"`
	// If-Match for an entity without an ETag is 400, as in WCF Data Services
	RefuseMatch bool `switch:"refuse-match"`
	// a POST with a RequestID that was used before is not executed again, and answered as before
	Repeatability bool `switch:"repeatability"`

	Churn int `switch:"churn"` // after each page: rows deleted from, or inserted into, the part that was read
	// reorder or all: how a page differs when it is requested again
	Differ string `switch:"differ,,reorder,all"`

	// "" (changes are tracked as by SAP, on request), links (every feed has a delta link), off, or silent
	Delta string `switch:"delta,,links,off,silent"`
	// on (default) or off: whether tokens in delta links are quoted
	DeltaQuotes string `switch:"delta-quotes,on,off"`
	// on (default) or off: whether deltas contain deleted rows; removed: in v4, as @removed of 4.01
	Tombstones string `switch:"tombstones,on,off,removed"`
	BothLinks  bool   `switch:"both-links"` // pages of tracked feeds with a next link also have a delta link
	// delta (default) or next: which link at the end of an ODP feed has the token; links: DeltaLinksOf… alone has it
	TokenIn string `switch:"token-in,,delta,next,links"`
	// number of services in the catalogue, the real ones first; zero means no catalogue
	Catalogue int           `switch:"catalogue"`
	Job       time.Duration `switch:"job"`      // how long an ODP initial extraction takes before its first byte
	Accepted  int           `switch:"accepted"` // number of next requests for tracked feeds that are answered 202

	// Match limits the faults below to requests whose "METHOD path?query" contains this text.
	Match string `switch:"match"`
	// reset, length or truncate: how the next feeds are cut off
	Break       string `switch:"break,,reset,length,truncate"`
	BreakAfter  int    `switch:"break-after"`  // bytes of the body before the cut
	BreakCount  int    `switch:"break-count"`  // number of feeds that are cut off
	Status      int    `switch:"status"`       // status of the next answers
	StatusCount int    `switch:"status-count"` // number of these answers
	// body of these answers: json, xml, html, empty, or auto (default; as the request accepts)
	StatusBody    string        `switch:"status-body,auto,json,xml,html,empty"`
	StatusCode    string        `switch:"status-code"`     // SAP message code in these bodies
	StatusMessage string        `switch:"status-message"`  // message in these bodies
	LogonPage     int           `switch:"logon-page"`      // next answers that are an HTML logon page with status 200
	LoseAnswer    int           `switch:"lose-answer"`     // number of next writes that are applied but not answered
	SlowFirstByte time.Duration `switch:"slow-first-byte"` // wait before each answer
	// number of next links, after the first page, that lead to their own page
	RepeatPages int `switch:"repeat-pages"`
	// number of pages, after the first page, that have no rows, and in v4 no value, but a link to their rows
	EmptyPages int `switch:"empty-pages"`
	// number of next feeds of v4 that end with an error behind their rows, in place of links
	RowErrors int `switch:"row-errors"`
	// percentage of writes, also inside batches, whose entity is locked by another user
	EnqueueLocks int `switch:"enqueue-locks"`
	// text of entities whose writes, also inside batches, are answered 400
	Refuse string `switch:"refuse"`
	// a batch with such an entity is answered 400 as a whole
	RefuseBatch bool `switch:"refuse-batch"`
	// percentage of write requests, batches as a whole, that fail before they are applied
	FailBefore int `switch:"fail-before"`
	FailAfter  int `switch:"fail-after"` // percentage that fail after they were applied

	// address that the channels of RFC destinations send to, such as http://127.0.0.1:8301
	NotifyTo   string `switch:"notify-to"`
	NotifyUser string `switch:"notify-user"` // user:password for the listener
	// NotifyOff sends nothing, as after a queue was deleted; the store keeps persistent notifications.
	NotifyOff bool `switch:"notify-off"`
}

// SwitchNames returns the names of switches for Service.Set.
func SwitchNames() []string {
	var names []string
	for f := range reflect.TypeFor[Switches]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("switch"), ",")
		names = append(names, name)
	}
	return names
}

// ActionNames returns the names of actions for Service.Set: expire-sessions ends all sessions, like a timeout;
// expire-tokens makes all delta tokens so far unknown; unlock-users lets locked users try again.
func ActionNames() []string { return []string{"expire-sessions", "unlock-users", "expire-tokens"} }

// setSwitch sets a switch. Its tag is the name, followed by the allowed words unless any text is allowed.
func setSwitch(to reflect.Value, tag, text string) error {
	_, words, hasChoices := strings.Cut(tag, ",")
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
		if hasChoices && !slices.Contains(choices, text) {
			return fmt.Errorf("expected one of %q, found %q", choices, text)
		}
		to.SetString(text)
		return nil
	}
}

// Set changes one switch, or performs an action. It returns an error for an unknown name or an invalid value.
func (s *Service) Set(name, text string) error {
	switch name {
	case "expire-sessions":
		s.front.expire()
		return nil
	case "expire-tokens":
		dead := map[string]int{}
		for name, o := range s.odp {
			dead[name] = o.base.changeCount() + 1
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.expirations++
		s.expiredChanges = dead
		return nil
	case "unlock-users":
		s.users.unlock()
		return nil
	case "servers":
		defer func() { s.front.addServers(s.Switches().Servers) }()
	}
	if index := slices.Index(SwitchNames(), name); index >= 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		changed := s.sw
		err := setSwitch(reflect.ValueOf(&changed).Elem().Field(index),
			reflect.TypeFor[Switches]().Field(index).Tag.Get("switch"), text)
		if err != nil {
			return fmt.Errorf("switch %s: %w", name, err)
		}
		s.sw = changed
		return nil
	}
	return fmt.Errorf("unknown switch %q; there are %s", name, strings.Join(append(SwitchNames(), ActionNames()...),
		", "))
}

// Switches returns the current switches; counters have the remaining number.
func (s *Service) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sw
}

// rollDice returns true in percent of cases, at random. The same requests in the same order have the same results.
func (s *Service) rollDice(percent int) bool {
	if percent == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(100) < percent
}

// useUp uses up one of a counted fault.
func (s *Service) useUp(field func(*Switches) *int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := field(&s.sw)
	if *n == 0 {
		return false
	}
	*n--
	return true
}
