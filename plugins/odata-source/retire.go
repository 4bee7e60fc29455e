package main

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// retireCommand is the name of the command. Ending a queue by mistake costs a new full load.
const retireCommand = "retire"

// retirer ends the ODP delta queues and subscriptions that a connector has opened at its services, on a command or when
// it is deleted. A restarted connector may still need the changes in a queue (RATIONALE.md P15).
type retirer struct {
	values  setting.Values
	entries []sourceconfig.EntitySetConfig // in delta mode, or with a subscription
	// addresses are the paths of the connector's subscriptions. A path that ends in / includes all paths below it.
	addresses []string

	queues        []queue        // ended, or not kept by the service
	subscriptions []subscription // of the connector, which are ended last
}

// queue is the delta queue of an entity set.
type queue struct {
	service  string
	set      string
	function string // ends the queue, "" if the service keeps no queue
}

type subscription struct {
	service    string
	collection string // entity set
	target     string // path of the subscription
	changeType string // created, updated or deleted, several with commas between them
}

// retire ends all queues and subscriptions of a deleted connector. The result is their number, as text.
func retire(class *sourceconfig.Component, settings []wit.Setting, addresses []string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	r := newRetirer(class, settings, addresses)
	if len(r.entries) == 0 {
		return wit.CallResult{Done: wit.Ptr("")}, nil
	}
	prober, err := probe.Restore(class.Dialect, state, answers)
	if err != nil {
		return wit.CallResult{}, err
	}
	if err = r.run(prober); errors.Is(err, probe.ErrMissing) {
		return wit.CallResult{Pending: prober.MissingRequests()}, nil
	}
	if err != nil {
		return wit.CallResult{}, err
	}
	return wit.CallResult{Done: wit.Ptr(strconv.Itoa(len(r.subscriptions)) + " subscriptions, " +
		strconv.Itoa(r.terminated()) + " delta queues")}, nil
}

// runRetire executes the command. It ends subscriptions below the connector's path at the listener.
func runRetire(settings []wit.Setting, state []byte, answers []wit.Response) (wit.CommandResult, error) {
	name := ""
	for _, s := range settings {
		if s.Name == "name" {
			name = s.Value
		}
	}
	class := sourceconfig.ConfiguredComponent(settings)
	r := newRetirer(class, settings, []string{"/" + inspect.EscapedSegment(name) + "/"})
	if len(r.entries) == 0 {
		return wit.CommandResult{}, odataerror.ForSetting(sourceconfig.NameTrackChanges,
			"no entity set of the connector is in delta mode or has a subscription: nothing to end")
	}
	return probe.Run(class.Dialect, state, answers, func(p *probe.Prober) (wit.CommandResult, error) {
		if err := r.run(p); err != nil {
			return wit.CommandResult{}, err
		}
		return probe.JSONResult(r.report()), nil
	})
}

func newRetirer(class *sourceconfig.Component, settings []wit.Setting, addresses []string) *retirer {
	r := &retirer{values: class.Values(settings), addresses: addresses}
	r.entries = slices.DeleteFunc(class.EntitySets(r.values), func(e sourceconfig.EntitySetConfig) bool {
		return !e.Tracking.On && !e.Subscribing.On
	})
	return r
}

// run ends queues and finds the subscriptions in as few rounds as possible, then ends these.
func (r *retirer) run(prober *probe.Prober) (err error) {
	services := sourceconfig.ServicePaths(r.entries)
	models := map[string]*edm.Model{}
	for _, s := range services {
		m, failed := prober.Metadata(s, config.Query(r.values))
		models[s] = m
		err = cmp.Or(err, failed)
	}
	if err != nil {
		return err
	}
	for _, e := range r.entries {
		if e.Tracking.On {
			err = cmp.Or(err, r.endQueue(prober, e, models[e.Service]))
		}
	}
	if err != nil && !errors.Is(err, probe.ErrMissing) {
		return err
	}
	for _, path := range services {
		collection := feedreader.SubscriptionSet(models[path])
		subscribed := func(e sourceconfig.EntitySetConfig) bool { return e.Service == path && e.Subscribing.On }
		if collection == "" || !slices.ContainsFunc(r.entries, subscribed) {
			continue
		}
		add := func(listed *notifications.Subscription, resolve inspect.ResolveFunc) error {
			if !r.ownsAddress(listed.Address) {
				return nil
			}
			target, err := resolve(listed.Target)
			r.subscriptions = append(r.subscriptions, subscription{path, listed.Collection, target, listed.ChangeType})
			return err
		}
		err = cmp.Or(err, inspect.VisitSubscriptions(prober, r.values, path, collection, add))
	}
	if err != nil {
		return err
	}
	for _, s := range r.subscriptions {
		request := notifications.DeleteRequest(s.target, s.target, s.service, config.Query(r.values))
		answer, missing := prober.Get(request)
		err = cmp.Or(err, missing)
		if missing == nil && (answer.Status < 200 || answer.Status > 299) &&
			!feedreader.IsNotFound(answer.Status, answer.Body) {
			return odataerror.FromResponse("subscription "+s.target, answer, answer.Body)
		}
	}
	return err
}

// endQueue calls the function that ends the delta queue of an entity set, if there is one.
func (r *retirer) endQueue(prober *probe.Prober, cfg sourceconfig.EntitySetConfig, m *edm.Model) error {
	feed, err := feedreader.New(cfg, m)
	if err != nil {
		return err
	}
	ended := queue{service: cfg.Service, set: cfg.Set}
	if feed.ODP != nil {
		ended.function = feed.ODP.Terminate
	}
	r.queues = append(r.queues, ended)
	if ended.function == "" {
		return nil
	}
	response, err := prober.Get(document.Get(cfg.Dialect, "queue of "+cfg.Service+"/"+cfg.Set,
		delta.Set{Feed: feed}.FunctionURL(ended.function),
		"application/json"))
	if err != nil {
		return err
	}
	if response.Status < 200 || response.Status > 299 {
		return odataerror.FromResponse(ended.function+" of "+ended.service, response, response.Body)
	}
	if done, ok := document.FindFlag(response.Body, "ResultFlag"); !ok || !done {
		return odataerror.NotData(ended.function+" of "+ended.service, "ResultFlag true", response.Body)
	}
	return nil
}

// ownsAddress reports whether notifications to an address are for this connector.
func (r *retirer) ownsAddress(address string) bool {
	prefix := sourceconfig.DeliveryPrefix(r.values)
	return prefix != "" && slices.ContainsFunc(r.addresses, func(path string) bool {
		ownAddress := prefix + path
		if strings.HasSuffix(path, "/") {
			return len(address) > len(ownAddress) && notifications.SameAddress(address[:len(ownAddress)], ownAddress)
		}
		return notifications.SameAddress(address, ownAddress)
	})
}

// terminated returns the number of ended queues.
func (r *retirer) terminated() (n int) {
	for _, q := range r.queues {
		if q.function != "" {
			n++
		}
	}
	return n
}

// report returns what was ended, for the user.
func (r *retirer) report() jsontext.Value {
	list := jsontext.NewArray()
	add := func(service, set, kind, outcome string) {
		list.Items = append(list.Items, jsontext.NewObject(probe.TextMember("service", service),
			probe.TextMember("entitySet", set), probe.TextMember(kind, outcome)))
	}
	for _, q := range r.queues {
		outcome := "the service keeps no queue; its delta link is forgotten with the connector's offset"
		if q.function != "" {
			outcome = "ended"
		}
		add(q.service, q.set, "queue", outcome)
	}
	for _, s := range r.subscriptions {
		add(s.service, s.collection, "subscription", "ended: "+s.changeType)
	}
	return list
}
