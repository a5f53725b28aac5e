"""The names that DCMTK has for SOP classes and transfer syntaxes: `uidOf`."""

from __future__ import annotations

import sys

from txdicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, isValidUID

__all__ = ["uidOf"]

_LOCAL, _OPPOSITE = EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN
if sys.byteorder == "big":
    _LOCAL, _OPPOSITE = _OPPOSITE, _LOCAL

#: DCMTK's names where they are not the keywords of the standard, some with `RETIRED_` before them: what a
#: storage SCP may be asked for.
_NAMES = {
    "LocalEndianExplicit": _LOCAL,
    "OppositeEndianExplicit": _OPPOSITE,
    "VerificationSOPClass": "1.2.840.10008.1.1",
    "LittleEndianImplicit": "1.2.840.10008.1.2",
    "LittleEndianExplicit": "1.2.840.10008.1.2.1",
    "DeflatedLittleEndianExplicit": "1.2.840.10008.1.2.1.99",
    "BigEndianExplicit": "1.2.840.10008.1.2.2",
    "JPEGBaseline": "1.2.840.10008.1.2.4.50",
    "JPEGExtended:Process2+4": "1.2.840.10008.1.2.4.51",
    "JPEGExtended:Process3+5": "1.2.840.10008.1.2.4.52",
    "JPEGSpectralSelection:Non-hierarchical:Process6+8": "1.2.840.10008.1.2.4.53",
    "JPEGSpectralSelection:Non-hierarchical:Process7+9": "1.2.840.10008.1.2.4.54",
    "JPEGFullProgression:Non-hierarchical:Process10+12": "1.2.840.10008.1.2.4.55",
    "JPEGFullProgression:Non-hierarchical:Process11+13": "1.2.840.10008.1.2.4.56",
    "JPEGLossless:Non-hierarchical:Process14": "1.2.840.10008.1.2.4.57",
    "JPEGLossless:Non-hierarchical:Process15": "1.2.840.10008.1.2.4.58",
    "JPEGExtended:Hierarchical:Process16+18": "1.2.840.10008.1.2.4.59",
    "JPEGExtended:Hierarchical:Process17+19": "1.2.840.10008.1.2.4.60",
    "JPEGSpectralSelection:Hierarchical:Process20+22": "1.2.840.10008.1.2.4.61",
    "JPEGSpectralSelection:Hierarchical:Process21+23": "1.2.840.10008.1.2.4.62",
    "JPEGFullProgression:Hierarchical:Process24+26": "1.2.840.10008.1.2.4.63",
    "JPEGFullProgression:Hierarchical:Process25+27": "1.2.840.10008.1.2.4.64",
    "JPEGLossless:Hierarchical:Process28": "1.2.840.10008.1.2.4.65",
    "JPEGLossless:Hierarchical:Process29": "1.2.840.10008.1.2.4.66",
    "JPEGLossless:Non-hierarchical-1stOrderPrediction": "1.2.840.10008.1.2.4.70",
    "JPEGLSLossy": "1.2.840.10008.1.2.4.81",
    "JPEG2000LosslessOnly": "1.2.840.10008.1.2.4.90",
    "JPEG2000MulticomponentLosslessOnly": "1.2.840.10008.1.2.4.92",
    "JPEG2000Multicomponent": "1.2.840.10008.1.2.4.93",
    "MPEG2MainProfile@MainLevel": "1.2.840.10008.1.2.4.100",
    "MPEG2MainProfile@HighLevel": "1.2.840.10008.1.2.4.101",
    "MPEG4HighProfile/Level4.1": "1.2.840.10008.1.2.4.102",
    "MPEG4BDcompatibleHighProfile/Level4.1": "1.2.840.10008.1.2.4.103",
    "MPEG4HighProfile/Level4.2For2DVideo": "1.2.840.10008.1.2.4.104",
    "MPEG4HighProfile/Level4.2For3DVideo": "1.2.840.10008.1.2.4.105",
    "MPEG4StereoHighProfile/Level4.2": "1.2.840.10008.1.2.4.106",
    "HEVCMainProfile/Level5.1": "1.2.840.10008.1.2.4.107",
    "HEVCMain10Profile/Level5.1": "1.2.840.10008.1.2.4.108",
    "SMPTEST2110-20:UncompressedProgressiveActiveVideo": "1.2.840.10008.1.2.7.1",
    "SMPTEST2110-20:UncompressedInterlacedActiveVideo": "1.2.840.10008.1.2.7.2",
    "SMPTEST2110-30:PCMDigitalAudio": "1.2.840.10008.1.2.7.3",
    "StorageCommitmentPushModelSOPClass": "1.2.840.10008.1.20.1",
    "RETIRED_StorageCommitmentPullModelSOPClass": "1.2.840.10008.1.20.2",
    "RETIRED_UltrasoundMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.3",
    "UltrasoundMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.3.1",
    "RETIRED_NuclearMedicineImageStorage": "1.2.840.10008.5.1.4.1.1.5",
    "RETIRED_UltrasoundImageStorage": "1.2.840.10008.5.1.4.1.1.6",
    "MultiframeSingleBitSecondaryCaptureImageStorage": "1.2.840.10008.5.1.4.1.1.7.1",
    "MultiframeGrayscaleByteSecondaryCaptureImageStorage": "1.2.840.10008.5.1.4.1.1.7.2",
    "MultiframeGrayscaleWordSecondaryCaptureImageStorage": "1.2.840.10008.5.1.4.1.1.7.3",
    "MultiframeTrueColorSecondaryCaptureImageStorage": "1.2.840.10008.5.1.4.1.1.7.4",
    "DRAFT_WaveformStorage": "1.2.840.10008.5.1.4.1.1.9.1",
    "RETIRED_VLImageStorage": "1.2.840.10008.5.1.4.1.1.77.1",
    "RETIRED_VLMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.77.2",
    "DRAFT_SRTextStorage": "1.2.840.10008.5.1.4.1.1.88.1",
    "DRAFT_SRAudioStorage": "1.2.840.10008.5.1.4.1.1.88.2",
    "DRAFT_SRDetailStorage": "1.2.840.10008.5.1.4.1.1.88.3",
    "DRAFT_SRComprehensiveStorage": "1.2.840.10008.5.1.4.1.1.88.4",
    "ImplantationPlanSRDocumentStorage": "1.2.840.10008.5.1.4.1.1.88.70",
    "DICOS_CTImageStorage": "1.2.840.10008.5.1.4.1.1.501.1",
    "DICOS_DigitalXRayImageStorageForPresentation": "1.2.840.10008.5.1.4.1.1.501.2.1",
    "DICOS_DigitalXRayImageStorageForProcessing": "1.2.840.10008.5.1.4.1.1.501.2.2",
    "DICOS_ThreatDetectionReportStorage": "1.2.840.10008.5.1.4.1.1.501.3",
    "DICOS_2DAITStorage": "1.2.840.10008.5.1.4.1.1.501.4",
    "DICOS_3DAITStorage": "1.2.840.10008.5.1.4.1.1.501.5",
    "DICOS_QuadrupoleResonanceStorage": "1.2.840.10008.5.1.4.1.1.501.6",
    "DICONDE_EddyCurrentImageStorage": "1.2.840.10008.5.1.4.1.1.601.1",
    "DICONDE_EddyCurrentMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.601.2",
    "DRAFT_RTBeamsDeliveryInstructionStorage": "1.2.840.10008.5.1.4.34.1",
}
_RETIRED = "RETIRED_"


def uidOf(name: str) -> str | None:
    """
    Find the UID that a name of a configuration file stands for.

    :param name: DCMTK's, or the keyword of PS3.6, or a UID.
    :return: None if it is none of these.
    """
    # Imported this late because only those who have such a file need it.
    from pydicom._uid_dict import UID_dictionary

    if isValidUID(name):
        return name
    if name in _NAMES:
        return _NAMES[name]
    keyword = name.removeprefix(_RETIRED)
    return next((uid for uid, entry in UID_dictionary.items() if entry[4] == keyword != ""), None)
