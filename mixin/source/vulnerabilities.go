package source

// found is the findings of each image, of the severities that are chosen. At is empty, or an
// offset.
func found(at string) string {
	return `sum by (registry_id, region, name, digest) (
  max by (registry_id, region, name, digest, severity) (aws_ecr_image_scan_severity_count{` + ofSeverity + `}` + at + `))`
}

func vulnerabilities() Dashboard {
	runningFound := pods(byPod, ofCluster) + severitiesOfDigest + running(ofCluster)
	return Dashboard{
		File: "vulnerabilities", Title: "ECR / Vulnerabilities",
		About: "What is vulnerable, what of it runs, whose it is, what is new, and what was not scanned.",
		Panels: []Panel{
			{
				Title: "Vulnerable images that run", Kind: Stat, Unit: "short",
				About:   "Images with findings of the chosen severities that a container runs now, joined by digest. Begin with the table Running workloads.",
				None:    "None runs, if kube-state-metrics writes to this data source and scans are read: see docs/grafana.md.",
				Queries: one("count(count by (digest) (\n"+indent(runningFound)+"\n  > 0))", "images"),
			},
			{
				Title: "Vulnerable images", Kind: Stat, Unit: "short",
				About:   "Tagged images with findings of the chosen severities, whether they run or not. With IDLE_IMAGES=never idle images are left out.",
				None:    "No finding of these severities.",
				Queries: one(`count(`+found("")+` > 0)`, "images"),
			},
			{
				Title: "Images without a complete scan", Kind: Stat, Unit: "short",
				About:   "Nothing is known about these. The table Why there are no findings has the status of each.",
				None:    "All images have a complete scan.",
				Queries: one(`count(count by (registry_id, region, name, digest) (`+whyNoFindings(", "+ofRepository)+`))`, "images"),
			},
			{
				Title: "Scan results still to be read", Kind: Stat, Unit: "short",
				About:   "Images whose result the exporter has not read yet. After a deployment it falls to 0; if it stays, raise SCAN_REQUESTS_PER_SECOND.",
				None:    "No exporter has pushed in the last five minutes: see the dashboard ECR / Exporter.",
				Queries: one(`sum(max by (registry_id, region) (aws_ecr_exporter_images_scan_pending{`+ofRegistry+`}))`, "images"),
			},
			{
				Title: "Findings by severity", Kind: Graph, Unit: "short",
				About:   "Findings of the newest tagged image of each repository: what a new deployment would bring. It should fall; a step up is a new advisory or a new base image.",
				None:    "No scan result of a newest image: see the panel Images without a complete scan.",
				Queries: one(`sum by (severity) (aws_ecr_repository_findings{`+ofSeverity+`})`, "{{severity}}"),
			},
			{
				Title: "Containers that run with findings", Kind: Graph, Unit: "short",
				About:   "Containers with findings, by severity, over time. Who fixes what is in the table Running workloads.",
				None:    "None ran, or the recording rules are not loaded: load mixin/rules/recordings.yaml.",
				Queries: one(`count by (severity) (ecr:running_findings:max{severity=~"$severity", cluster=~"$cluster", name=~"$repository"})`, "{{severity}}"),
			},
			{
				Title: "Running workloads", Kind: Table, Unit: "short", Value: "findings",
				About:   "Each container that runs an image with findings of the chosen severities, whatever tag it was started by. Update the image and roll it out, the most findings first.",
				None:    "None runs, if kube-state-metrics writes to this data source and scans are read: see docs/grafana.md.",
				Queries: one("sort_desc(max without (pod) (\n"+indent(runningFound)+"\n) > 0)", ""),
			},
			{
				Title: "Running and unknown", Kind: Table, Unit: "short", Hide: []string{"Value"},
				About:   "Pods of images in ECR of which no scan is known. Scan on push, or read the other registry too.",
				None:    "Every pod with an image of ECR has a scan, if kube-state-metrics writes to this data source.",
				Queries: one(pods(byPod, ofECR+ofCluster)+notScanned, ""),
			},
			{
				Title: "Running, as Inspector sees it", Kind: Table, Unit: "short", Value: "tasks and pods",
				About:   "The ten images that run most often in ECS and EKS, as Amazon Inspector sees them. Works without kube-state-metrics.",
				None:    "Inspector saw none run, or scanning is basic: only enhanced scanning has it.",
				Queries: one(`topk(10, max by (registry_id, region, name, digest) (aws_ecr_image_in_use_count{`+ofRepository+`}))`, ""),
			},
			{
				Title: "Last seen running by Inspector", Kind: Table, Unit: "s", Value: "since",
				About:   "The ten images that Inspector saw run longest ago. If no other system runs them they may be deleted.",
				None:    "Inspector saw none run, or scanning is basic: only enhanced scanning has it.",
				Queries: one(`topk(10, time() - max by (registry_id, region, name, digest) (aws_ecr_image_last_in_use_timestamp_seconds{`+ofRepository+`}))`, ""),
			},
			{
				Title: "Most findings by repository", Kind: Rank, Unit: "short",
				About:   "The ten repositories whose newest image had the most findings of the chosen severities at any time of the range. Update the base image first.",
				None:    "No finding of these severities in this range.",
				Queries: one(`topk(10, sum by (registry_id, region, name) (max_over_time(aws_ecr_repository_findings{`+ofSeverity+`}[$__range])))`, "{{name}}"),
			},
			{
				Title: "Findings by team", Kind: Rank, Unit: "short",
				About: "Findings of the newest image of each repository, by the tag team of the repository, at the end of the range. Talk to the first.",
				None:  "Off unless asked: set REPOSITORY_TAGS=team, which needs ecr:ListTagsForResource. See docs/grafana.md.",
				Queries: one(`sort_desc(sum by (tag_team) (
  sum by (registry_id, region, name) (aws_ecr_repository_findings{`+ofSeverity+`})
  * on (registry_id, region, name) group_left (tag_team)
    max by (registry_id, region, name, tag_team) (aws_ecr_repository_tags_info{`+ofRepository+`})))`, "{{tag_team}}"),
			},
			{
				Title: "New since yesterday", Kind: Table, Unit: "short", Value: "more findings",
				About:   "Images with more findings of the chosen severities than a day ago, new images included. With IDLE_IMAGES=never also those that were idle a day ago.",
				None:    "Nothing is new since yesterday.",
				Queries: one("sort_desc((\n"+indent(found("")+"\n-\n("+found(" offset 1d")+"\nor\n"+found("")+" * 0)")+"\n) > 0)", ""),
			},
			{
				Title: "Scan coverage", Kind: Graph, Unit: "short",
				About:   "Images by the status of their scan. COMPLETE and ACTIVE are scanned, all others are not.",
				None:    "No status yet: scans are off (SCAN_SOURCE=none), not read yet, or denied.",
				Queries: one(`count by (status) (max by (registry_id, region, name, digest, status) (aws_ecr_image_scan_status{`+ofRepository+`}))`, "{{status}}"),
			},
			{
				Title: "Repositories that do not scan on push", Kind: Table, Unit: "short", Hide: []string{"Value"},
				About:   "With basic scanning their images are never scanned by themselves. Turn it on, or set a rule for the registry.",
				None:    "All repositories scan on push.",
				Queries: one(`group by (registry_id, region, name) (aws_ecr_repository_info{scan_on_push="false", `+ofRepository+`})`, ""),
			},
			{
				Title: "Type of scanning", Kind: Table, Unit: "short", Hide: []string{"Value"},
				About:   "BASIC scans on push, and at most once a day when asked. ENHANCED scans anew whenever an advisory appears, and Inspector bills it.",
				None:    "The type of scanning was not read: it is where SCAN_SOURCE is auto or REGISTRY_DETAILS is set.",
				Queries: one(`group by (registry_id, region, scan_type) (aws_ecr_registry_scan_type_info{`+ofRegistry+`})`, ""),
			},
			{
				Title: "Why there are no findings", Kind: Table, Unit: "short", Hide: []string{"Value"},
				About:   "Images without a complete scan. SCAN_NOT_FOUND: scan on push is off. UNSUPPORTED_IMAGE: ECR cannot read it. FAILED: start a scan. SCAN_ELIGIBILITY_EXPIRED: older than Inspector's setting. None: not read yet.",
				None:    "All images have a complete scan.",
				Queries: one(whyNoFindings(", "+ofRepository), ""),
			},
		},
	}
}
