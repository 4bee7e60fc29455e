package main

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// open asks for the services' metadata and works out the feeds.
func open(component string, given []wit.Setting, answers []wit.Response) (wit.SourceOpening, error) {
	if err := config.Known(component, Component, Alias); err != nil {
		return wit.SourceOpening{}, err
	}
	if f := setting.First(examine(given)); f != nil {
		return wit.SourceOpening{}, f
	}
	v := settings.Values(given)
	all := entries(v)
	services := servicesOf(all)
	if len(answers) == 0 {
		need := &wit.Need{}
		for _, s := range services {
			need.Requests = append(need.Requests, service.MetadataRequest(s, config.Query(v)))
		}
		return wit.SourceOpening{Ask: need}, nil
	}
	if len(answers) != len(services) {
		return wit.SourceOpening{}, &wit.Fault{Kind: wit.FaultInternal,
			Message: "expected " + strconv.Itoa(len(services)) + " answers, found " +
				strconv.Itoa(len(answers))}
	}
	o := &decodedContext{origin: origin(v), refresh: v.Number(metadataRefresh)}
	models := make([]*edm.Model, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SourceOpening{}, err
		}
		models[i], o.at = m, max(o.at, answers[i].At)
	}
	for _, e := range all {
		f, err := newFeed(e, models[slices.Index(services, e.service)])
		if err != nil {
			return wit.SourceOpening{}, err
		}
		o.feeds = append(o.feeds, *f)
	}
	name(o.feeds)
	return ready(o, v)
}

func servicesOf(all []entry) []string {
	var services []string
	for _, e := range all {
		if !slices.Contains(services, e.service) {
			services = append(services, e.service)
		}
	}
	return services
}

// newFeed finds the set in the metadata.
func newFeed(e entry, m *edm.Model) (*feed, error) {
	set, s, err := findSet(&e, m)
	if err != nil {
		return nil, err
	}
	f := &feed{entry: e, address: service.Address(set), countable: set.Countable, pageable: set.Pageable}
	asked, err := query.Compile(e.reads, m, s)
	if err != nil {
		return nil, err
	}
	f.model, f.alike = &edm.Model{Structures: asked.Structures()}, lookAlikes(m, s)
	f.sets = alikeSets(m, s)
	if !set.Addressable || set.RequiresFilter && asked.Filter("") == "" {
		sdk.Log(wit.LevelWarn, "entity set "+e.set+" of "+e.service+": its metadata say that it can't be read "+
			"without a filter or not by itself; trying all the same")
	}
	f.ordered = len(s.Key) > 0
	for _, k := range s.Key {
		p := s.Property(k)
		f.ordered = f.ordered && p != nil && p.Sortable
	}
	f.announced = set.ChangeTracking
	if err := f.track(m, set); err != nil {
		return nil, err
	}
	if err := f.subscribable(m); err != nil {
		return nil, err
	}
	return f, f.compile()
}

// name gives feeds their names: the set's, with the entry's identity or number where a name is taken.
func name(feeds []feed) {
	var taken []string
	for i := range feeds {
		f := &feeds[i]
		f.name = f.set
		if f.id != "" {
			f.name += "-" + f.id
		}
		if slices.Contains(taken, f.name) {
			f.name += "-" + f.number
		}
		taken = append(taken, f.name)
	}
}

// ready writes the context and tells the feeds.
func ready(o *decodedContext, v setting.Values) (wit.SourceOpening, error) {
	out := &wit.SourceOpened{Context: packContext(o)}
	for i := range o.feeds {
		f := &o.feeds[i]
		w := wit.Feed{Name: f.name, Partition: f.partition(), Topic: f.topic, Value: &f.value,
			Fingerprint: fingerprint(o, f, v), Changed: changedOf(v, f.number), Subscribes: f.subscribing.on}
		if f.key.Nodes != nil {
			w.Key = &f.key
		}
		switch {
		case f.cron != "":
			w.Cron = wit.Ptr(f.cron)
		case f.period > 0:
			w.PollEveryMs = wit.Ptr(uint32(f.period) * 1000)
		case f.told() && f.subscribing.check > 0:
			w.PollEveryMs = wit.Ptr(uint32(f.subscribing.check) * 1000)
		}
		out.Feeds = append(out.Feeds, w)
	}
	return wit.SourceOpening{Ready: out}, nil
}

// changedOf is what a stored offset of something else means.
func changedOf(v setting.Values, number string) wit.Changed {
	switch v.Word(config.InGroup(number, nameChange)) {
	case "reload":
		return wit.ChangedReload
	case "keep":
		return wit.ChangedKeep
	}
	return wit.ChangedFail
}

// partition is the key of the feed's offsets.
func (f *feed) partition() []wit.Field {
	p := []wit.Field{wit.TextField("service", f.service), wit.TextField("entityset", f.set)}
	if f.id != "" {
		p = append(p, wit.TextField("id", f.id))
	}
	return p
}

// fingerprint is what an offset belongs to (P7), readable so that the host can name what differs.
func fingerprint(o *decodedContext, f *feed, v setting.Values) string {
	format := "json"
	if f.atom {
		format = "atom"
	}
	mode, cursor := "full", ""
	if f.tracking.on {
		mode = "delta"
	}
	if f.cursor != "" {
		cursor = " cursor=" + f.cursor
	}
	extra := ""
	if len(f.extra) > 0 {
		extra = " key.extra=" + f.extraText
	}
	origin := o.origin.String()
	if o.origin.Host == "" {
		origin = "destination:" + v.Text(config.Destination)
	}
	return "origin=" + origin + " client=" + v.Text(config.Client) + " user=" + v.Text(config.User) +
		" set=" + f.service + "/" + f.address + " mode=" + mode + " format=" +
		format + f.asked.Fingerprint() + cursor + extra
}
