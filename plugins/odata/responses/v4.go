package responses

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/batch"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// parse splits a response into the parts of the batch, see [batch.ParseJSON].
func (b *sentBatch) parse(response *odataerror.Response) (document batch.Document, isBatch bool, problem string) {
	if !b.InJSON {
		contentType := headerOf(response, "Content-Type")
		if _, isBatch = batch.Boundary(contentType); isBatch || contentType == "" {
			document, isBatch = batch.Parse(contentType, response.Body)
		}
		return document, isBatch, ""
	}
	counts := slices.Clone(b.Parts)
	row := 0
	for i, rows := range b.Parts {
		counts[i] += b.Targets[row].NestedUpdates
		row += rows
	}
	return batch.ParseJSON(response.Body, counts)
}

// refusesJSON reports whether a status means that the service reads no batches in JSON, so that they are sent as
// multipart. Apache Olingo 5 answers 400; the others are HTTP's for media types and methods that a server does not
// support. The service must not have answered one.
func (b *sentBatch) refusesJSON(status uint16) bool {
	isRefusal := status == 400 || status == 406 || status == 415 || status == 501
	return isRefusal && b.InJSON && b.BatchFormat == sinkconfig.FormatAuto &&
		!b.ServiceCapabilities[b.ServiceIndex].AcceptsJSON
}

// draftError returns an error if the response to an insert describes a draft, nil otherwise. The key of an active
// entity contains that it is active; SAP CAP answers with the address of another set, Requests.drafts(…), for a draft.
func draftError(target *requests.Target, response *odataerror.Response) *wit.Error {
	entityType := target.Set.Type
	if entityType.Active == nil {
		return nil
	}
	location := headerOf(response, "Location")
	literals, _ := target.Set.KeyLiterals(location)
	isActive := location == ""
	for i := range literals {
		isActive = isActive || (entityType.Key[i] == entityType.Active.Name && literals[i].Text == "true")
	}
	switch propertiesOf(response.Body).Get(entityType.Active.Name).Kind {
	case jsontext.True:
		isActive = true
	case jsontext.False:
		isActive = false
	}
	if isActive {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorData, Message: target.Name() + ": expected an entity with " +
		entityType.Active.Name + " true, as it was sent, found false: the service has created a draft; activate or " +
		"discard it there"}
}
