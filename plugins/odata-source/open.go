package main

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func open(component string, settings []wit.Setting, answers []wit.Response) (wit.SourceOpenResult, error) {
	if err := config.CheckComponent(component, sourceconfig.Component, sourceconfig.Alias); err != nil {
		return wit.SourceOpenResult{}, err
	}
	if f := setting.FirstError(sourceconfig.Examine(settings)); f != nil {
		return wit.SourceOpenResult{}, f
	}
	v := sourceconfig.Table.Values(settings)
	o, all := feedreader.NewContext(settings)
	services := sourceconfig.ServicePaths(all)
	if need, err := service.MetadataRequests(services, config.Query(v), answers); need != nil || err != nil {
		return wit.SourceOpenResult{Pending: need}, err
	}
	models := make([]*edm.Model, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SourceOpenResult{}, err
		}
		models[i], o.ReadAt = m, max(o.ReadAt, answers[i].ReceivedAt)
	}
	for _, e := range all {
		f, err := feedreader.New(e, models[slices.Index(services, e.Service)])
		if err != nil {
			return wit.SourceOpenResult{}, err
		}
		o.Feeds = append(o.Feeds, *f)
	}
	nameFeeds(o.Feeds)
	return opened(o, v)
}

func nameFeeds(feeds []feedreader.Feed) {
	var taken []string
	for i := range feeds {
		f := &feeds[i]
		f.Name = f.Set
		if f.ID != "" {
			f.Name += "-" + f.ID
		}
		if slices.Contains(taken, f.Name) {
			f.Name += "-" + f.Number
		}
		taken = append(taken, f.Name)
	}
}

func opened(o *feedreader.Context, v setting.Values) (wit.SourceOpenResult, error) {
	out := &wit.SourceOpened{Context: feedreader.PackContext(o)}
	for i := range o.Feeds {
		f := &o.Feeds[i]
		w := wit.Feed{Name: f.Name, Partition: f.Partition(), Topic: f.Topic, Value: &f.Value,
			Fingerprint: feedreader.Fingerprint(o, f, v), OnMismatch: sourceconfig.MismatchPolicy(v, f.Number),
			Subscribes: f.Subscribing.On}
		if f.Key.Nodes != nil {
			w.Key = &f.Key
		}
		switch {
		case f.Cron != "":
			w.Cron = wit.Ptr(f.Cron)
		case f.Period > 0:
			w.PollEveryMs = wit.Ptr(uint32(f.Period) * 1000)
		case f.PolledOnNotification() && f.Subscribing.Check > 0:
			w.PollEveryMs = wit.Ptr(uint32(f.Subscribing.Check) * 1000)
		}
		out.Feeds = append(out.Feeds, w)
	}
	return wit.SourceOpenResult{Ready: out}, nil
}
