"""FHIR's RESTful interactions (FHIR R4 §3.1.0, http.html): what an HTTP request asks of a FHIR server."""

from __future__ import annotations

RESOURCE_TYPES = {
    name.encode(): name
    for name in """
    Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary
    BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
    ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest
    CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest
    CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
    DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest
    EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
    FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization
    ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List
    Location Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge
    MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
    MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
    MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
    MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
    OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation
    Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
    RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
    RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition
    StructureDefinition StructureMap Subscription Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein
    SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery SupplyRequest Task
    TerminologyCapabilities TestReport TestScript ValueSet VerificationResult VisionPrescription
    """.split()  # noqa: SIM905 - a table reads as one
}
"""Resource types of R4 (resourcelist.html)."""
COMMON_WORDS = frozenset(
    b"Account Basic Binary Bundle Claim Communication Consent Contract Device Endpoint Evidence Flag Goal Group Invoice"
    b" Library Linkage List Location Measure Media Organization Parameters Person Schedule Slot Subscription Substance"
    b" Task".split()
)
"""Resource types that the paths of other services use as well: alone they do not tell FHIR."""

WEAK, LIKELY, SURE = range(3)
"""How much a URL alone says: nothing without a media type; enough where the connection has spoken FHIR; enough."""

_ON_TYPE = {
    b"GET": "search", b"HEAD": "search", b"POST": "create", b"PUT": "update", b"PATCH": "patch", b"DELETE": "delete",
}  # fmt: skip
_ON_INSTANCE = {b"GET": "read", b"HEAD": "read", b"PUT": "update", b"PATCH": "patch", b"DELETE": "delete"}
_KEYWORDS = {b"metadata": "capabilities", b"_history": "history", b"_search": "search"}
_OPERATION_LETTERS = b"-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

Interaction = tuple[str, str, str, int, int]
"""Its name, resource type, operation and page size, and how much the URL says that it is one."""


def interaction(method: bytes, target: bytes) -> Interaction | None:
    """Read a request's method and target; None where they cannot be an interaction."""
    path, _, query = target.partition(b"?")
    parts = path.split(b"/")
    if not parts[-1]:
        parts.pop()
    for position, part in enumerate(parts):
        if part in RESOURCE_TYPES:
            sure = part not in COMMON_WORDS or _names_fhir(path)
            return _on_type(method, parts[position:], query, SURE if sure else LIKELY)
    return _on_system(method, path, parts, query)


def _on_type(method: bytes, parts: list[bytes], query: bytes, belief: int) -> Interaction | None:
    """Read a resource type and what follows: nothing, an id, a version, a compartment's type, or a keyword."""
    kind = ""
    operation = ""
    resource = parts[0]
    last = parts[-1]
    if len(parts) == 1:
        kind = _ON_TYPE.get(method, "")
    elif last[:1] == b"$":
        kind = "operation"
        operation = _operation(last)
    elif last in {b"_history", b"_search"}:
        kind = _KEYWORDS[last]
        resource = parts[2] if len(parts) == 4 and parts[2] in RESOURCE_TYPES else resource
    elif len(parts) == 2:
        kind = _ON_INSTANCE.get(method, "")
    elif len(parts) == 4 and parts[2] == b"_history":
        kind = "vread"
    elif len(parts) == 3 and (last in RESOURCE_TYPES or last == b"*"):
        kind = "search"
        resource = resource if last == b"*" else last
    if not kind:
        return None
    return kind, RESOURCE_TYPES[resource], operation, _page_size(query) if kind == "search" else 0, belief


def _on_system(method: bytes, path: bytes, parts: list[bytes], query: bytes) -> Interaction | None:
    """Read a path without a resource type: a keyword, or the base itself."""
    last = parts[-1] if parts else b""
    operation = _operation(last) if last[:1] == b"$" else ""
    kind = "operation" if operation else _KEYWORDS.get(last, "")
    if kind:
        belief = SURE if path == b"/metadata" or _names_fhir(path) else WEAK
    else:
        kind = "batch" if method == b"POST" else "search" if method == b"GET" and query else ""
        belief = SURE if _names_fhir(b"/".join(parts[-2:])) else WEAK
    if not kind:
        return None
    return kind, "", operation, _page_size(query) if kind == "search" else 0, belief


def _names_fhir(path: bytes) -> bool:
    return b"fhir" in path.lower()


def _operation(name: bytes) -> str:
    """Keep an operation's name if it is made as FHIR's own are."""
    return "$other" if len(name) > 48 or name[1:].strip(_OPERATION_LETTERS) else name.decode("ascii")


def _page_size(query: bytes) -> int:
    if b"_count=" in query:
        for pair in query.split(b"&", 32):
            if pair.startswith(b"_count=") and pair[7:].isdigit() and len(pair) < 16:
                return int(pair[7:])
    return 0
