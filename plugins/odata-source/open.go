package main

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/service"
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
	o := &Context{origin: origin(v), refresh: v.Number(metadataRefresh)}
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

// name gives feeds their names: the set's, with the Entry's identity or number where a name is taken.
func name(feeds []Feed) {
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
func ready(o *Context, v setting.Values) (wit.SourceOpening, error) {
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
