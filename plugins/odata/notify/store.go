package notify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// SAP Gateway keeps notifications of subscriptions that ask for it (persistNotifications), whether a listener took
// them or not. At a start a set that is read by notifications alone reads there which entities they named, and reads
// each as it is now.
const (
	StoreTarget = "/sap/opu/odata/IWFND/NOTIFICATIONSTORE/NotificationCollection"
	// StoreTag is that of requests to it.
	StoreTag = "notification store"
	// storeAmid follows it where a load was begun and goes on afterwards.
	storeAmid = ", amid a load"
	// maxStorePages bounds its pages, and maxStored the entities that they name. Where there is more the whole set
	// is read again.
	maxStorePages = 8
	maxStored     = 10_000
)

// stored is what a page of the notification store came to.
type stored struct {
	// loading: a load of the set was begun and goes on afterwards.
	loading bool
	pages   int
	tokens  []string
	known   map[string]bool
	// elsewhere is how many entities it names of a set called like the feed's under another path, example one of them;
	// alike: some are of a service called like the feed's as well, example among them.
	elsewhere int
	example   string
	alike     bool
	// left is how many entities are still to be read, read how many were; token is the one that is being read.
	left, read int
	token      string
}

// FetchStore asks for stored notifications.
func (f Set) FetchStore(loading bool, offset []wit.OffsetEntry) wit.NextAction {
	r := ListRequest(f.Query.AppendTo(StoreTarget))
	r.Tag = StoreTag
	if loading {
		r.Tag += storeAmid
	}
	r.Tag = f.WithGuids(r.Tag, offset)
	return wit.NextAction{Fetch: &wit.Fetch{Request: r}}
}

// Store reads pages of the store, and then the entities that they name, one after another.
type Store struct {
	*Entity
	stored
}

// BeginStore opens the answer.
func BeginStore(pool *feed.Pool, o *feed.Context, f *feed.Feed, response *wit.Response) *Store {
	tag, guids, _ := strings.Cut(response.Tag, feed.GuidTag)
	entity := beginEntity(pool, o, f, response, guids, "")
	if entity.stored = true; response.Target == "" {
		entity.Base = StoreTarget
	}
	return &Store{entity, stored{loading: strings.HasSuffix(tag, storeAmid), known: map[string]bool{}}}
}

// Decode reads a piece.
func (pg *Store) Decode(tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	s := &pg.stored
	if s.left == 0 {
		return pg.readStore(status, piece, last)
	}
	if token, first := strings.CutPrefix(tag, NamedTag); first {
		if tag = ""; token != s.token {
			s.token = strings.Clone(token)
			pg.named, pg.entities, pg.Ended, pg.Answer.Status = s.token, 0, false, status
			pg.Body, pg.Base = pg.Body[:0], pg.Feed.Service+"/"+pg.Feed.Address+s.token
			if pg.Decoder != nil {
				pg.Decoder.Reset()
			}
		}
	}
	portion, ended, err = pg.Entity.Decode(tag, status, piece, last)
	for i := range portion.Rows {
		portion.Rows[i].RowIndex = uint32(s.read)
	}
	for i := range portion.Errors {
		portion.Errors[i].RowIndex = uint32(s.read)
	}
	if err != nil || !ended {
		return portion, ended, err
	}
	s.token = ""
	s.read++
	s.left--
	portion.More = s.left == 0 && s.loading
	return portion, s.left == 0, nil
}

// readStore takes a piece of a page of the store. Behind the last one it asks for the entities.
func (pg *Store) readStore(status uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool, err error) {
	s, f := &pg.stored, pg.set()
	if len(pg.Body)+len(piece) > maxStoreBody {
		return pg.readWhole("its page has more than " + strconv.Itoa(maxStoreBody) + " bytes")
	}
	if pg.Body = append(pg.Body, piece...); !last {
		return portion, false, nil
	}
	what := f.What() + ": SAP's notification store"
	if status < 200 || status > 299 {
		failed := fault.Of(what, &pg.Answer, pg.Body)
		failed.Message += "; " + entry.NotificationCatchup +
			" = reload reads the set again at a start, none relies on what " +
			"the service sends again"
		return portion, true, failed
	}
	entries, next, err := readEntries(pg.Body)
	if err != nil {
		failed := fault.NotData(what, "a feed of notifications", pg.Body)
		failed.Message += ": " + err.Error()
		return portion, true, failed
	}
	pg.Body = pg.Body[:0]
	s.pages++
	for i := range entries {
		token, mine, err := f.storedToken(&entries[i])
		switch {
		case err != nil:
			return pg.readWhole("a notification there of an entity whose key can't be read: " + err.Error())
		case mine && !s.known[token]:
			s.known[token] = true
			s.tokens = append(s.tokens, token)
		case !mine && token != "":
			s.elsewhere++
			if s.example == "" || !s.alike {
				s.example = token
			}
			s.alike = s.alike || f.namesake(token)
		}
	}
	switch {
	case len(s.tokens) > maxStored:
		return pg.readWhole("it names more than " + strconv.Itoa(maxStored) + " entities")
	case next != "" && s.pages == maxStorePages:
		return pg.readWhole("it has more than " + strconv.Itoa(maxStorePages) + " pages")
	case next != "":
		target, err := pg.Resolve(decode.Link{Href: next})
		if err != nil {
			return portion, true, err
		}
		r := ListRequest(f.Query.AppendTo(target))
		r.Tag = StoreTag
		pg.Base = target
		portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: r})
		return portion, false, nil
	}
	if elsewhere := strconv.Itoa(s.elsewhere) + " entities of a set " + f.Set + " that are not below " + f.Service +
		", such as " +
		strconv.Quote(feed.Clip(s.example)); s.alike && len(s.tokens) == 0 {
		return pg.readWhole("it names " + elsewhere + ", which may be the same by another path, and none that is")
	} else if s.elsewhere > 0 {
		sdk.Log(wit.LevelWarn, what+" names "+elsewhere+": they are taken for another service's")
	}
	sdk.Log(wit.LevelInfo, what+" names "+strconv.Itoa(len(s.tokens))+" entities, which are read as they are now")
	for _, token := range s.tokens {
		portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: f.namedRequest(token),
			Tolerate: []uint16{404, 410}})
	}
	s.left = len(s.tokens)
	portion.More = s.left == 0 && s.loading
	return portion, s.left == 0, nil
}

// maxStoreBody bounds a page of the store, in bytes.
const maxStoreBody = 32 << 20

// readWhole has the whole set read in place of what the store names.
func (pg *Store) readWhole(why string) (wit.DecodeResult, bool, error) {
	sdk.Log(wit.LevelWarn, pg.set().What()+": SAP's notification store is not used: "+why+
		"; the set is read again, and what was deleted meanwhile is not reported")
	fields := pg.set().Pages.First(pg.Answer.ReceivedAt).Fields()
	return wit.DecodeResult{Next: &fields, More: true}, true, nil
}

// storedToken is the key predicate of the entity that a stored notification names. The store holds those of all
// services of the user: !mine is one of another service or set, whose address is returned where the set's name is the
// feed's.
func (f Set) storedToken(n *notificationEntry) (token string, mine bool, err error) {
	if collection := n.text("collection"); collection != "" && collection != f.Set {
		return "", false, nil
	}
	via := n.via
	if via == "" && len(n.inside) > 0 {
		via = n.inside[0].address
	}
	if via != "" && !leads(via, f.Service+"/"+f.Set) {
		if path := segmentsOf(via); strings.EqualFold(path[len(path)-1], f.Set) {
			return via, false, nil
		}
		return "", false, nil
	}
	raws, err := f.keysOf(&notificationEntry{address: via})
	if err != nil {
		return "", true, err
	}
	token, err = f.Keys.Predicate(raws)
	return token, true, err
}

// leads reports whether an address is one of an entity of a set below a path. Addresses from the store may name another
// host, and the service with its version (;v=2).
func leads(address, to string) bool {
	return slices.EqualFunc(segmentsOf(address), segmentsOf(to), strings.EqualFold)
}

// namesake reports whether an address is one of an entity of a service and a set with the names of the feed's, as far
// as it has them, which may be the same by another path.
func (f Set) namesake(address string) bool {
	path, own := segmentsOf(address), segmentsOf(f.Service+"/"+f.Set)
	n := min(2, len(own), len(path))
	return slices.EqualFunc(path[len(path)-n:], own[len(own)-n:], strings.EqualFold)
}

// segmentsOf are the segments of an address's path up to the key, without versions.
func segmentsOf(address string) []string {
	path, _, _ := strings.Cut(address, "(")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			path = rest[i:]
		}
	}
	list := strings.Split(strings.Trim(path, "/"), "/")
	for i := range list {
		list[i], _, _ = strings.Cut(uri.Unescape(list[i]), ";")
	}
	return list
}
