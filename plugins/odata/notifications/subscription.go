package notifications

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

var changeTypes = []string{"created", "updated", "deleted"}

// Subscription is a subscription as the service lists it.
type Subscription struct {
	ID         string
	Target     string // URL of the subscription
	Collection string // entity set
	ChangeType string // created, updated or deleted, several with commas between them
	Address    string // to which the service sends notifications
	User       string
	Updated    string
	filter     string // condition on changed entities, "" for all changes
	persist    string // true if SAP's notification store keeps the notifications
}

// SameAddress compares addresses: host and channel case-insensitively, the path with connector and feed exactly.
func SameAddress(a, b string) bool {
	pathAt := func(s string) int {
		start := 0
		if scheme, _, ok := strings.Cut(s, "://"); ok {
			start = len(scheme) + len("://")
		}
		if i := strings.IndexByte(s[start:], '/'); i >= 0 {
			return start + i
		}
		return len(s)
	}
	i := pathAt(a)
	k := pathAt(b)
	return strings.EqualFold(a[:i], b[:k]) && a[i:] == b[k:]
}

// Delivers reports whether the subscription delivers all changes of a type in an entity set to an address.
func (s *Subscription) Delivers(collection, changeType, address string) bool {
	return s.Collection == collection && s.filter == "" && SameAddress(s.Address, address) &&
		slices.ContainsFunc(strings.Split(s.ChangeType, ","), func(delivered string) bool {
			return strings.EqualFold(strings.TrimSpace(delivered), changeType)
		})
}

// ListRequest requests the user's subscriptions.
func ListRequest(target string) wit.Request {
	return document.Get(edm.V2, "subscriptions", target, "application/atom+xml")
}

// ReadSubscriptions reads a page of subscriptions and the next link.
func ReadSubscriptions(subject string, a *wit.Response) (list []Subscription, next string, err error) {
	if a.Status < 200 || a.Status > 299 {
		return nil, "", odataerror.FromResponse(subject, a, a.Body)
	}
	entries, next, err := readEntries(a.Body)
	if err != nil {
		f := odataerror.NotData(subject, "a feed of subscriptions", a.Body)
		f.Message += ": " + err.Error()
		return nil, "", f
	}
	for i := range entries {
		e := &entries[i]
		list = append(list, Subscription{
			ID:         e.text("ID"),
			Target:     e.address,
			Collection: e.text("collection"),
			ChangeType: e.text("changeType"),
			Address:    e.text("deliveryAddress"),
			User:       e.text("user"),
			Updated:    e.text("updated"),
			filter:     e.text("filter"),
			persist:    e.text("persistNotifications"),
		})
	}
	return list, next, nil
}

// Phases of [Subscribe], with which its state starts. The answers belong to the requests of the phase.
const (
	phaseList   = iota // list the subscriptions
	phaseCreate        // create the missing ones
	phaseVerify        // list them again
)

// Subscribe lists the subscriptions, creates the missing subscriptions and lists them again, because a 201 proves
// nothing. address is the path of the listener. state is empty in the first call, and then the state that the last
// result has with its requests. The last result lists the change types with the IDs of their subscriptions.
func Subscribe(context *feedreader.Context, feed *feedreader.Feed, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	subscribed := Set{feed}
	subject := "subscriptions to " + subscribed.Set + " of " + subscribed.Service
	if !subscribed.Subscribing.On {
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorUnsupported,
			Message: subject + ": " + subscribed.Setting(sourceconfig.NameSubscription) + " is 0"}
	}
	listURL := subscribed.Query.AppendTo(subscribed.Service + "/" + subscribed.Subscriptions)
	deliveryAddress := subscribed.Subscribing.DeliveryPrefix + address
	if len(state) == 0 {
		return subscribed.listSubscriptions(listURL, phaseList, make([]string, len(changeTypes))), nil
	}
	r := pack.NewReader(state)
	phase := r.Int()
	ids := r.Strings() // of subscriptions by change type, "" for one that was not found yet
	if !r.Done() || len(ids) != len(changeTypes) || len(answers) == 0 {
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorInternal, Message: subject + ": the state cannot be read"}
	}
	for i := range answers {
		a := &answers[i]
		failure := odataerror.FromResponse(subject+": "+a.Tag, a, a.Body) // used if a router answered
		if odataerror.MarkOutage(failure, a, a.Body) {                    // $metadata was answered before
			return wit.CallResult{}, failure
		}
	}
	if phase == phaseCreate { // the subscriptions were requested
		for i := range answers {
			if a := &answers[i]; a.Status < 200 || a.Status > 299 {
				return wit.CallResult{}, odataerror.FromResponse(subject+": "+a.Tag, a, a.Body)
			}
		}
		return subscribed.listSubscriptions(listURL, phaseVerify, make([]string, len(changeTypes))), nil
	}
	list, next, err := ReadSubscriptions(subject, &answers[0])
	if err != nil {
		return wit.CallResult{}, err
	}
	// Set the missing ids, one for each change type.
	for _, s := range list {
		for i, changeType := range changeTypes {
			if ids[i] == "" && s.Delivers(subscribed.Set, changeType, deliveryAddress) &&
				(!subscribed.UsesNotificationStore() || s.persist == "true") {
				ids[i] = s.ID
			}
		}
	}
	if next != "" {
		target, err := context.Origin.Resolve(next, "", answers[0].Target)
		if err != nil {
			return wit.CallResult{}, &wit.Error{Kind: wit.ErrorData, Message: subject + ": " + err.Error()}
		}
		return subscribed.listSubscriptions(subscribed.Query.AppendTo(target), phase, ids), nil
	}
	// The list is complete: request the missing subscriptions, unless that was done.
	need := &wit.RequestBatch{State: pack.Strings(pack.Int(nil, phaseCreate), ids)}
	var names, missing []string
	for i, changeType := range changeTypes {
		names = append(names, changeType+" "+ids[i])
		if ids[i] != "" {
			continue
		}
		missing = append(missing, changeType)
		need.Requests = append(need.Requests, subscribed.createRequest(listURL, changeType, deliveryAddress))
	}
	switch {
	case len(missing) == 0:
		return wit.CallResult{Done: wit.Ptr(strings.Join(names, ", "))}, nil
	case phase == phaseVerify:
		return wit.CallResult{}, &wit.Error{Kind: wit.ErrorData,
			Message: subject + ": the service accepted subscriptions for " + strings.Join(missing, ", ") +
				" to " + deliveryAddress + " but does not list them"}
	}
	return wit.CallResult{Pending: need}, nil
}

// listSubscriptions requests a page of subscriptions. phase and ids are the state of the next call.
func (se Set) listSubscriptions(target string, phase int, ids []string) wit.CallResult {
	return wit.CallResult{Pending: &wit.RequestBatch{Requests: []wit.Request{ListRequest(target)},
		State: pack.Strings(pack.Int(nil, phase), ids)}}
}

// createRequest requests a subscription to one type of changes.
func (se Set) createRequest(target, changeType, address string) wit.Request {
	body := []byte(`<?xml version="1.0" encoding="utf-8"?><atom:entry xmlns:atom="http://www.w3.org/2005/Atom" ` +
		`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` +
		`<atom:title>Subscription</atom:title><atom:author/><atom:updated/><atom:content type="application/xml"><m:properties>`)
	selects := "*"
	if se.NotificationOnly() || se.Tracking.On { // the data are requested after the notification, so keys are enough
		selects = strings.Join(se.EntityType().Key, ",")
	}
	for _, p := range [][2]string{{"deliveryAddress", address}, {"collection", se.Set}, {"filter", ""},
		{"select", selects},
		{"persistNotifications", strconv.FormatBool(se.UsesNotificationStore())}, {"changeType", changeType}} {
		body = append(body, "<d:"+p[0]+">"...)
		body = append(body, escapeXML.Replace(p[1])...)
		body = append(body, "</d:"+p[0]+">"...)
	}
	body = append(body, "</m:properties></atom:content></atom:entry>"...)
	return wit.Request{Tag: changeType, Method: "POST", Target: target, Body: body,
		TokenPath: wit.Ptr(se.Query.AppendTo(se.Service + "/")),
		Headers: []wit.Header{{Name: "Content-Type", Value: "application/atom+xml"},
			{Name: "Accept", Value: "application/atom+xml"},
			{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}
}

var escapeXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// DeleteRequest deletes a subscription. target is its URL, and service the path of its service.
func DeleteRequest(tag, target, service string, query uri.Query) wit.Request {
	r := document.Get(edm.V2, tag, query.AppendTo(target), "application/atom+xml")
	r.TokenPath = wit.Ptr(query.AppendTo(service + "/"))
	r.Method = "DELETE"
	return r
}
