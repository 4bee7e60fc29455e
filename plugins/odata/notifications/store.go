package notifications

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// SAP Gateway stores notifications of subscriptions with persistNotifications, delivered or not. At a start, a set that
// is read on notification only reads the entities that they name.
const (
	StoreTarget     = "/sap/opu/odata/IWFND/NOTIFICATIONSTORE/NotificationCollection"
	StoreTag        = "notification store"
	storeDuringLoad = ", amid a load"
	// If there is more than these bounds, the whole set is read again.
	maxStorePages    = 8
	maxStoreEntities = 10_000
)

type storeState struct {
	loading bool
	pages   int
	tokens  []string
	seen    map[string]bool
	// foreign counts entities of a set with the same name under another path, example is one of them; foreignSimilar
	// reports that the service has the same name too.
	foreign         int
	example         string
	foreignSimilar  bool
	remaining, read int
	token           string
}

// FetchStore requests the stored notifications.
func (f Set) FetchStore(loading bool, offset []wit.OffsetEntry) wit.NextAction {
	r := ListRequest(f.Query.AppendTo(StoreTarget))
	r.Tag = StoreTag
	if loading {
		r.Tag += storeDuringLoad
	}
	r.Tag = f.TagWithGuidCase(r.Tag, offset)
	return wit.NextAction{Fetch: &wit.Fetch{Request: r}}
}

// Store reads the store, then the entities that it names.
type Store struct {
	*Entity
	storeState
}

// BeginStore starts reading the store.
func BeginStore(pool *feedreader.Pool, o *feedreader.Context, f *feedreader.Feed, response *wit.Response) *Store {
	tag, guids, _ := strings.Cut(response.Tag, feedreader.GuidTag)
	entity := beginEntity(pool, o, f, response, guids, "")
	if entity.fromStore = true; response.Target == "" {
		entity.BaseURL = StoreTarget
	}
	return &Store{entity, storeState{loading: strings.HasSuffix(tag, storeDuringLoad), seen: map[string]bool{}}}
}

// Decode decodes a chunk.
func (pg *Store) Decode(tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	s := &pg.storeState
	if s.remaining == 0 {
		return pg.readStore(status, piece, last)
	}
	if token, first := strings.CutPrefix(tag, EntityTag); first {
		if tag = ""; token != s.token {
			s.token = strings.Clone(token)
			pg.predicate, pg.entities, pg.Ended, pg.Response.Status = s.token, 0, false, status
			pg.Body, pg.BaseURL = pg.Body[:0], pg.Feed.Service+"/"+pg.Feed.Address+s.token
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
	s.remaining--
	portion.More = s.remaining == 0 && s.loading
	return portion, s.remaining == 0, nil
}

func (pg *Store) readStore(status uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool, err error) {
	s, f := &pg.storeState, pg.set()
	if len(pg.Body)+len(piece) > maxStoreBody {
		return pg.reloadSet("its page has more than " + strconv.Itoa(maxStoreBody) + " bytes")
	}
	if pg.Body = append(pg.Body, piece...); !last {
		return portion, false, nil
	}
	what := f.Label() + ": SAP's notification store"
	if status < 200 || status > 299 {
		failed := odataerror.FromResponse(what, &pg.Response, pg.Body)
		failed.Message += "; " + sourceconfig.NotificationCatchup +
			" = reload reads the set again at a start, none relies on what " +
			"the service sends again"
		return portion, true, failed
	}
	entries, next, err := readEntries(pg.Body)
	if err != nil {
		failed := odataerror.NotData(what, "a feed of notifications", pg.Body)
		failed.Message += ": " + err.Error()
		return portion, true, failed
	}
	pg.Body = pg.Body[:0]
	s.pages++
	switch err := pg.addEntries(entries); {
	case err != nil:
		return pg.reloadSet("the key of a stored notification cannot be read: " + err.Error())
	case len(s.tokens) > maxStoreEntities:
		return pg.reloadSet("it names more than " + strconv.Itoa(maxStoreEntities) + " entities")
	case next != "" && s.pages == maxStorePages:
		return pg.reloadSet("it has more than " + strconv.Itoa(maxStorePages) + " pages")
	case next != "":
		target, err := pg.Resolve(decode.Link{Href: next})
		if err != nil {
			return portion, true, err
		}
		r := ListRequest(f.Query.AppendTo(target))
		r.Tag = StoreTag
		pg.BaseURL = target
		portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: r})
		return portion, false, nil
	}
	if elsewhere := strconv.Itoa(s.foreign) + " entities of a set " + f.Set + " that are not below " + f.Service +
		", such as " +
		strconv.Quote(feedreader.Clip(s.example)); s.foreignSimilar && len(s.tokens) == 0 {
		return pg.reloadSet("it names " + elsewhere + ", which may be the same by another path, and none that is")
	} else if s.foreign > 0 {
		sdk.Log(wit.LevelWarn, what+" names "+elsewhere+": they are considered another service's")
	}
	sdk.Log(wit.LevelInfo, what+" names "+strconv.Itoa(len(s.tokens))+" entities, which are read as they are now")
	for _, token := range s.tokens {
		portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: f.entityRequest(token),
			Tolerate: []uint16{404, 410}})
	}
	s.remaining = len(s.tokens)
	portion.More = s.remaining == 0 && s.loading
	return portion, s.remaining == 0, nil
}

// addEntries collects the entities that stored notifications name.
func (pg *Store) addEntries(entries []notificationEntry) error {
	s, f := &pg.storeState, pg.set()
	for i := range entries {
		token, mine, err := f.storedToken(&entries[i])
		switch {
		case err != nil:
			return err
		case mine && !s.seen[token]:
			s.seen[token] = true
			s.tokens = append(s.tokens, token)
		case !mine && token != "":
			s.foreign++
			if s.example == "" || !s.foreignSimilar {
				s.example = token
			}
			s.foreignSimilar = s.foreignSimilar || f.hasSameNames(token)
		}
	}
	return nil
}

const maxStoreBody = 32 << 20

func (pg *Store) reloadSet(why string) (wit.DecodeResult, bool, error) {
	sdk.Log(wit.LevelWarn, pg.set().Label()+": SAP's notification store is not used: "+why+
		"; the set is read again, and rows deleted in the meantime are not reported")
	fields := pg.set().Paging.First(pg.Response.ReceivedAt).Fields()
	return wit.DecodeResult{Next: &fields, More: true}, true, nil
}

// storedToken returns the key predicate of a stored notification. The store has those of all services of the user; for
// other ones mine is false, and token is the address if the set's name is the same.
func (f Set) storedToken(n *notificationEntry) (token string, mine bool, err error) {
	if collection := n.text("collection"); collection != "" && collection != f.Set {
		return "", false, nil
	}
	via := n.via
	if via == "" && len(n.inline) > 0 {
		via = n.inline[0].address
	}
	if via != "" && !sameSet(via, f.Service+"/"+f.Set) {
		if path := pathSegments(via); strings.EqualFold(path[len(path)-1], f.Set) {
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

// sameSet compares URLs by path: those in the store may have another host or a version (;v=2).
func sameSet(address, to string) bool {
	return slices.EqualFunc(pathSegments(address), pathSegments(to), strings.EqualFold)
}

// hasSameNames reports whether a URL has the names of the feed's service and set: it may be the same by another path.
func (f Set) hasSameNames(address string) bool {
	path, own := pathSegments(address), pathSegments(f.Service+"/"+f.Set)
	n := min(2, len(own), len(path))
	return slices.EqualFunc(path[len(path)-n:], own[len(own)-n:], strings.EqualFold)
}

func pathSegments(address string) []string {
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
