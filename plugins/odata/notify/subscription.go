package notify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// changeTypes are those of SAP Gateway: a subscription has one of them.
var changeTypes = []string{"created", "updated", "deleted"}

// Subscription is one that a service has.
type Subscription struct{ ID, Target, Collection, ChangeType, Address, filter, User, Updated, persist string }

// SameAddress reports whether two addresses are one: the case of a host or of a channel's name makes no difference,
// that of the path does, which ends with the names of a connector and of a feed.
func SameAddress(a, b string) bool {
	pathAt := func(s string) int {
		start := strings.Index(s, "://") + len("://")
		if start < len("://") {
			start = 0
		}
		if i := strings.IndexByte(s[start:], '/'); i >= 0 {
			return start + i
		}
		return len(s)
	}
	i, k := pathAt(a), pathAt(b)
	return strings.EqualFold(a[:i], b[:k]) && a[i:] == b[k:]
}

// Covers reports whether it leads all changes of a type of a set to an address.
func (s *Subscription) Covers(set, changeType, address string) bool {
	return s.Collection == set && s.filter == "" && SameAddress(s.Address, address) &&
		slices.ContainsFunc(strings.Split(s.ChangeType, ","), func(one string) bool {
			return strings.EqualFold(strings.TrimSpace(one), changeType)
		})
}

// ListRequest asks for the subscriptions of the user.
func ListRequest(target string) wit.Request {
	return service.Get("subscriptions", target, "application/atom+xml")
}

// ReadSubscriptions reads a page of them, and the link to the next one.
func ReadSubscriptions(what string, a *wit.Response) (list []Subscription, next string, err error) {
	if a.Status < 200 || a.Status > 299 {
		return nil, "", fault.Of(what, a, a.Body)
	}
	entries, next, err := readEntries(a.Body)
	if err != nil {
		f := fault.NotData(what, "a feed of subscriptions", a.Body)
		f.Message += ": " + err.Error()
		return nil, "", f
	}
	for i := range entries {
		e := &entries[i]
		list = append(list, Subscription{ID: e.text("ID"), Target: e.address, Collection: e.text("collection"),
			ChangeType: e.text("changeType"),
			Address:    e.text("deliveryAddress"), persist: e.text("persistNotifications"), filter: e.text("filter"),
			User: e.text("user"), Updated: e.text("updated")})
	}
	return list, next, nil
}

// Phases of a subscription.
const (
	subscribeLook = iota
	subscribeMake
	subscribeProve
)

// Subscribe sees to it that each type of change has a subscription: it looks which ones there are, makes those that
// are missing, and looks again, since an answer 201 proves nothing. address is the listener's path.
func Subscribe(o *feed.Context, feed *feed.Feed, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	f := Set{feed}
	what := "subscriptions to " + f.Set + " of " + f.Service
	if !f.Subscribing.On {
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorUnsupported,
			Message: what + ": " + f.Setting(entry.NameSubscription) + " is 0"}
	}
	root, to := f.Query.AppendTo(f.Service+"/"+f.Subscriptions), f.Subscribing.To+address
	if len(state) == 0 {
		return f.look(root, subscribeLook, make([]string, len(changeTypes))), nil
	}
	r := pack.Open(state)
	phase, found := r.Int(), r.Strings()
	if !r.Done() || len(found) != len(changeTypes) || len(answers) == 0 {
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorInternal, Message: what + ": the state can't be read"}
	}
	if phase == subscribeMake {
		for i := range answers {
			if a := &answers[i]; a.Status < 200 || a.Status > 299 {
				return wit.CallResult{}, fault.Of(what+": "+a.Tag, a, a.Body)
			}
		}
		return f.look(root, subscribeProve, make([]string, len(changeTypes))), nil
	}
	list, next, err := ReadSubscriptions(what, &answers[0])
	if err != nil {
		return wit.CallResult{}, err
	}
	for _, s := range list {
		for i, changeType := range changeTypes {
			if found[i] == "" && s.Covers(f.Set, changeType, to) && (!f.Stores() || s.persist == "true") {
				found[i] = s.ID
			}
		}
	}
	if next != "" {
		target, err := o.Origin.Resolve(next, "", answers[0].Target)
		if err != nil {
			return wit.CallResult{}, &wit.Error{Kind: wit.ErrorData, Message: what + ": " + err.Error()}
		}
		return f.look(f.Query.AppendTo(target), phase, found), nil
	}
	need := &wit.RequestBatch{State: pack.Strings(pack.Int(nil, subscribeMake), found)}
	var names, missing []string
	for i, changeType := range changeTypes {
		if names = append(names, changeType+" "+found[i]); found[i] != "" {
			continue
		}
		missing = append(missing, changeType)
		need.Requests = append(need.Requests, f.subscribe(root, changeType, to))
	}
	switch {
	case len(missing) == 0:
		return wit.CallResult{Done: wit.Ptr(strings.Join(names, ", "))}, nil
	case phase == subscribeProve:
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorData,
			Message: what + ": the service has taken subscriptions for " + strings.Join(missing, ", ") +
				" to " + to + " and does not list them"}
	}
	return wit.CallResult{Pending: need}, nil
}

func (f Set) look(target string, phase int, found []string) wit.CallResult {
	return wit.CallResult{Pending: &wit.RequestBatch{Requests: []wit.Request{ListRequest(target)},
		State: pack.Strings(pack.Int(nil, phase), found)}}
}

// subscribe makes a subscription to a type of changes.
func (f Set) subscribe(target, changeType, address string) wit.Request {
	body := []byte(`<?xml version="1.0" encoding="utf-8"?><atom:entry xmlns:atom="http://www.w3.org/2005/Atom" ` +
		`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` +
		`<atom:title>Subscription</atom:title><atom:author/><atom:updated/><atom:content type="application/xml"><m:properties>`)
	selects := "*"
	if f.Named() || f.Tracking.On {
		selects = strings.Join(f.Structure().Key, ",")
	}
	for _, p := range [][2]string{{"deliveryAddress", address}, {"collection", f.Set}, {"filter", ""},
		{"select", selects},
		{"persistNotifications", strconv.FormatBool(f.Stores())}, {"changeType", changeType}} {
		body = append(body, "<d:"+p[0]+">"...)
		body = append(body, escapeXML.Replace(p[1])...)
		body = append(body, "</d:"+p[0]+">"...)
	}
	body = append(body, "</m:properties></atom:content></atom:entry>"...)
	return wit.Request{Tag: changeType, Method: "POST", Target: target, Body: body,
		TokenPath: wit.Ptr(f.Query.AppendTo(f.Service + "/")),
		Headers: []wit.Header{{Name: "Content-Type", Value: "application/atom+xml"},
			{Name: "Accept", Value: "application/atom+xml"},
			{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}
}

var escapeXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// EndRequest deletes a subscription.
func EndRequest(tag, target, root string, query uri.Query) wit.Request {
	r := service.Get(tag, query.AppendTo(target), "application/atom+xml")
	r.Method, r.TokenPath = "DELETE", wit.Ptr(query.AppendTo(root+"/"))
	return r
}
