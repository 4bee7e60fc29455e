package main

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// open implements [plugin.Open].
func open(component string, settings []wit.Setting, answers []wit.Response) (wit.SourceOpenResult, error) {
	class, err := sourceconfig.FindComponent(component)
	if err != nil {
		return wit.SourceOpenResult{}, err
	}
	if f := class.FirstError(settings); f != nil {
		return wit.SourceOpenResult{}, f
	}
	values := class.Values(settings)
	sourceContext, entitySets := feedreader.NewContext(class, settings)
	services := sourceconfig.ServicePaths(entitySets)
	need, err := document.MetadataRequests(class.Dialect, services, config.Query(values), answers)
	if need != nil || err != nil {
		return wit.SourceOpenResult{Pending: need}, err
	}
	// Compile each feed with the metadata of its service.
	models := make([]*edm.Model, len(services))
	for i := range services {
		m, err := document.ReadMetadata(class.Dialect, services[i], &answers[i])
		if err != nil {
			return wit.SourceOpenResult{}, err
		}
		models[i] = m
		sourceContext.ReadAt = max(sourceContext.ReadAt, answers[i].ReceivedAt)
	}
	for _, cfg := range entitySets {
		f, err := feedreader.New(cfg, models[slices.Index(services, cfg.Service)])
		if err != nil {
			return wit.SourceOpenResult{}, err
		}
		sourceContext.Feeds = append(sourceContext.Feeds, *f)
	}
	// Each feed has a unique name, for logs and notification paths.
	var names []string
	for i := range sourceContext.Feeds {
		feed := &sourceContext.Feeds[i]
		feed.Name = feed.Set
		if feed.ID != "" {
			feed.Name += "-" + feed.ID
		}
		if slices.Contains(names, feed.Name) {
			feed.Name += "-" + feed.Number
		}
		names = append(names, feed.Name)
	}
	// Describe the feeds to the host.
	result := &wit.SourceOpened{Context: feedreader.PackContext(sourceContext)}
	for i := range sourceContext.Feeds {
		feed := &sourceContext.Feeds[i]
		sourceFeed := wit.Feed{Name: feed.Name, Partition: feed.Partition(), Topic: feed.Topic, Value: &feed.Value,
			Fingerprint: feedreader.Fingerprint(sourceContext, feed, values),
			OnMismatch:  sourceconfig.MismatchPolicy(values, feed.Number), Subscribes: feed.Subscribing.On}
		if feed.Key.Nodes != nil {
			sourceFeed.Key = &feed.Key
		}
		switch {
		case feed.Cron != "":
			sourceFeed.Cron = wit.Ptr(feed.Cron)
		case feed.Period > 0:
			sourceFeed.PollEveryMs = wit.Ptr(uint32(feed.Period) * 1000)
		case feed.PolledOnNotification() && feed.Subscribing.Check > 0:
			sourceFeed.PollEveryMs = wit.Ptr(uint32(feed.Subscribing.Check) * 1000)
		}
		result.Feeds = append(result.Feeds, sourceFeed)
	}
	return wit.SourceOpenResult{Ready: result}, nil
}
