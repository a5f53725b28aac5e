"""
The unique identifiers that txdicom itself needs: transfer syntaxes, SOP classes and their file name prefixes.

The names of all others are in pydicom's UID dictionary, which takes longer to import than a receiver to start: hence
the tables here. Tests compare them with that dictionary.
"""

import sys

__all__ = [
    "ACCEPT_ALL",
    "APPLICATION_CONTEXT",
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "DEFLATED_TRANSFER_SYNTAXES",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "FILE_PREFIXES",
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "LOSSLESS_TRANSFER_SYNTAXES",
    "LOSSY_TRANSFER_SYNTAXES",
    "OTHER_STORAGE_SOP_CLASSES",
    "STORAGE_SOP_CLASSES",
    "UNCOMPRESSED_TRANSFER_SYNTAXES",
    "VERIFICATION",
    "isValidUID",
    "mayBeStorageSOPClass",
]

#: The DICOM application context name (PS3.7 A.2.1).
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

#: Our own Implementation Class UID, of the kind that PS3.5 B.2 derives from a UUID.
IMPLEMENTATION_CLASS_UID = "2.25.128497262805627422799340560793425572069"
#: Our own Implementation Version Name, at most 16 characters (PS3.7 D.3.3.2.3).
IMPLEMENTATION_VERSION_NAME = "TXDICOM_0.1"

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

#: The syntaxes that storescp accepts by default, the one it likes best first: explicit VR in the host's byte order,
#: explicit VR in the other, implicit VR.
UNCOMPRESSED_TRANSFER_SYNTAXES: tuple[str, ...] = (
    (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    if sys.byteorder == "little"
    else (EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
)

#: The syntaxes of the standard in which nothing of an image is lost: whole, or compressed reversibly.
LOSSLESS_TRANSFER_SYNTAXES: frozenset[str] = frozenset(
    {
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.1.98",  # EncapsulatedUncompressedExplicitVRLittleEndian
        "1.2.840.10008.1.2.4.57",  # JPEGLossless
        "1.2.840.10008.1.2.4.58",  # JPEGLosslessNonHierarchical15 (retired)
        "1.2.840.10008.1.2.4.65",  # JPEGLosslessHierarchical28 (retired)
        "1.2.840.10008.1.2.4.66",  # JPEGLosslessHierarchical29 (retired)
        "1.2.840.10008.1.2.4.70",  # JPEGLosslessSV1
        "1.2.840.10008.1.2.4.80",  # JPEGLSLossless
        "1.2.840.10008.1.2.4.90",  # JPEG2000Lossless
        "1.2.840.10008.1.2.4.92",  # JPEG2000MCLossless
        "1.2.840.10008.1.2.4.110",  # JPEGXLLossless
        "1.2.840.10008.1.2.4.201",  # HTJ2KLossless
        "1.2.840.10008.1.2.4.202",  # HTJ2KLosslessRPCL
        "1.2.840.10008.1.2.5",  # RLELossless
        "1.2.840.10008.1.2.8.1",  # DeflatedImageFrameCompression
    }
)

#: The syntaxes of the standard in which something of an image is lost, or may be: lossy ones, those that can be either,
#: video, and those that leave the pixels where they are and name the place (JPIP).
LOSSY_TRANSFER_SYNTAXES: frozenset[str] = frozenset(
    {
        "1.2.840.10008.1.2.4.50",  # JPEGBaseline8Bit
        "1.2.840.10008.1.2.4.51",  # JPEGExtended12Bit
        "1.2.840.10008.1.2.4.52",  # JPEGExtended35 (retired)
        "1.2.840.10008.1.2.4.53",  # JPEGSpectralSelectionNonHierarchical68 (retired)
        "1.2.840.10008.1.2.4.54",  # JPEGSpectralSelectionNonHierarchical79 (retired)
        "1.2.840.10008.1.2.4.55",  # JPEGFullProgressionNonHierarchical1012 (retired)
        "1.2.840.10008.1.2.4.56",  # JPEGFullProgressionNonHierarchical1113 (retired)
        "1.2.840.10008.1.2.4.59",  # JPEGExtendedHierarchical1618 (retired)
        "1.2.840.10008.1.2.4.60",  # JPEGExtendedHierarchical1719 (retired)
        "1.2.840.10008.1.2.4.61",  # JPEGSpectralSelectionHierarchical2022 (retired)
        "1.2.840.10008.1.2.4.62",  # JPEGSpectralSelectionHierarchical2123 (retired)
        "1.2.840.10008.1.2.4.63",  # JPEGFullProgressionHierarchical2426 (retired)
        "1.2.840.10008.1.2.4.64",  # JPEGFullProgressionHierarchical2527 (retired)
        "1.2.840.10008.1.2.4.81",  # JPEGLSNearLossless
        "1.2.840.10008.1.2.4.91",  # JPEG2000
        "1.2.840.10008.1.2.4.93",  # JPEG2000MC
        "1.2.840.10008.1.2.4.94",  # JPIPReferenced
        "1.2.840.10008.1.2.4.95",  # JPIPReferencedDeflate
        "1.2.840.10008.1.2.4.100",  # MPEG2MPML
        "1.2.840.10008.1.2.4.100.1",  # MPEG2MPMLF
        "1.2.840.10008.1.2.4.101",  # MPEG2MPHL
        "1.2.840.10008.1.2.4.101.1",  # MPEG2MPHLF
        "1.2.840.10008.1.2.4.102",  # MPEG4HP41
        "1.2.840.10008.1.2.4.102.1",  # MPEG4HP41F
        "1.2.840.10008.1.2.4.103",  # MPEG4HP41BD
        "1.2.840.10008.1.2.4.103.1",  # MPEG4HP41BDF
        "1.2.840.10008.1.2.4.104",  # MPEG4HP422D
        "1.2.840.10008.1.2.4.104.1",  # MPEG4HP422DF
        "1.2.840.10008.1.2.4.105",  # MPEG4HP423D
        "1.2.840.10008.1.2.4.105.1",  # MPEG4HP423DF
        "1.2.840.10008.1.2.4.106",  # MPEG4HP42STEREO
        "1.2.840.10008.1.2.4.106.1",  # MPEG4HP42STEREOF
        "1.2.840.10008.1.2.4.107",  # HEVCMP51
        "1.2.840.10008.1.2.4.108",  # HEVCM10P51
        "1.2.840.10008.1.2.4.111",  # JPEGXLJPEGRecompression
        "1.2.840.10008.1.2.4.112",  # JPEGXL
        "1.2.840.10008.1.2.4.203",  # HTJ2K
        "1.2.840.10008.1.2.4.204",  # JPIPHTJ2KReferenced
        "1.2.840.10008.1.2.4.205",  # JPIPHTJ2KReferencedDeflate
    }
)

#: A preference (see `txdicom.upperlayer.negotiation.TransferSyntaxes`) for all of them: the requestor's first lossless
#: proposal, and only if it has none its first lossy one.
ACCEPT_ALL: tuple[frozenset[str], ...] = (LOSSLESS_TRANSFER_SYNTAXES, LOSSY_TRANSFER_SYNTAXES)

#: The syntaxes whose data sets are deflated as a whole (PS3.5 A.5, A.7 and A.12).
DEFLATED_TRANSFER_SYNTAXES: frozenset[str] = frozenset(
    {DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}
)

#: The Verification SOP Class (PS3.4 A.4).
VERIFICATION = "1.2.840.10008.1.1"

#: The storage SOP classes that storescp accepts by default.
STORAGE_SOP_CLASSES: tuple[str, ...] = (
    "1.2.840.10008.5.1.4.1.1.1",  # ComputedRadiographyImageStorage
    "1.2.840.10008.5.1.4.1.1.2",  # CTImageStorage
    "1.2.840.10008.5.1.4.1.1.4",  # MRImageStorage
    "1.2.840.10008.5.1.4.1.1.20",  # NuclearMedicineImageStorage
    "1.2.840.10008.5.1.4.1.1.5",  # NuclearMedicineImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.6.1",  # UltrasoundImageStorage
    "1.2.840.10008.5.1.4.1.1.6",  # UltrasoundImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.3.1",  # UltrasoundMultiframeImageStorage
    "1.2.840.10008.5.1.4.1.1.3",  # UltrasoundMultiframeImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.7",  # SecondaryCaptureImageStorage
    "1.2.840.10008.5.1.4.1.1.12.1",  # XRayAngiographicImageStorage
    "1.2.840.10008.5.1.4.1.1.12.3",  # XRayAngiographicBiPlaneImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.12.2",  # XRayRadiofluoroscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.8",  # StandaloneOverlayStorage (retired)
    "1.2.840.10008.5.1.4.1.1.9",  # StandaloneCurveStorage (retired)
    "1.2.840.10008.5.1.4.1.1.10",  # StandaloneModalityLUTStorage (retired)
    "1.2.840.10008.5.1.4.1.1.11",  # StandaloneVOILUTStorage (retired)
)

#: Among the abstract syntaxes that a service offers, it stands for all storage SOP classes that are not named there:
#: those of the standard, private ones, and those that nobody knows. No peer can propose it, for it is no UID.
OTHER_STORAGE_SOP_CLASSES = "*"

#: Storage SOP class UID -> the letters a stored file's name begins with. Every storage SOP class of the standard is
#: here, and of its relatives for security (DICOS) and for the testing of materials (DICONDE).
FILE_PREFIXES: dict[str, str] = {
    "1.2.840.10008.5.1.1.27": "SP",  # StoredPrintStorage (retired)
    "1.2.840.10008.5.1.1.29": "HG",  # HardcopyGrayscaleImageStorage (retired)
    "1.2.840.10008.5.1.1.30": "HC",  # HardcopyColorImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.1": "CR",  # ComputedRadiographyImageStorage
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",  # DigitalXRayImageStorageForPresentation
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DP",  # DigitalXRayImageStorageForProcessing
    "1.2.840.10008.5.1.4.1.1.1.2": "DXm",  # DigitalMammographyXRayImageStorageForPresentation
    "1.2.840.10008.5.1.4.1.1.1.2.1": "DPm",  # DigitalMammographyXRayImageStorageForProcessing
    "1.2.840.10008.5.1.4.1.1.1.3": "DXo",  # DigitalIntraOralXRayImageStorageForPresentation
    "1.2.840.10008.5.1.4.1.1.1.3.1": "DPo",  # DigitalIntraOralXRayImageStorageForProcessing
    "1.2.840.10008.5.1.4.1.1.2": "CT",  # CTImageStorage
    "1.2.840.10008.5.1.4.1.1.2.1": "CTe",  # EnhancedCTImageStorage
    "1.2.840.10008.5.1.4.1.1.2.2": "CTl",  # LegacyConvertedEnhancedCTImageStorage
    "1.2.840.10008.5.1.4.1.1.3": "USf",  # UltrasoundMultiframeImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.3.1": "USm",  # UltrasoundMultiframeImageStorage
    "1.2.840.10008.5.1.4.1.1.4": "MR",  # MRImageStorage
    "1.2.840.10008.5.1.4.1.1.4.1": "MRe",  # EnhancedMRImageStorage
    "1.2.840.10008.5.1.4.1.1.4.2": "MRs",  # MRSpectroscopyStorage
    "1.2.840.10008.5.1.4.1.1.4.3": "MRc",  # EnhancedMRColorImageStorage
    "1.2.840.10008.5.1.4.1.1.4.4": "MRl",  # LegacyConvertedEnhancedMRImageStorage
    "1.2.840.10008.5.1.4.1.1.5": "NMr",  # NuclearMedicineImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.6": "USr",  # UltrasoundImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.6.1": "US",  # UltrasoundImageStorage
    "1.2.840.10008.5.1.4.1.1.6.2": "USe",  # EnhancedUSVolumeStorage
    "1.2.840.10008.5.1.4.1.1.6.3": "PA",  # PhotoacousticImageStorage
    "1.2.840.10008.5.1.4.1.1.7": "SC",  # SecondaryCaptureImageStorage
    "1.2.840.10008.5.1.4.1.1.7.1": "SCs",  # MultiframeSingleBitSecondaryCaptureImageStorage
    "1.2.840.10008.5.1.4.1.1.7.2": "SCb",  # MultiframeGrayscaleByteSecondaryCaptureImageStorage
    "1.2.840.10008.5.1.4.1.1.7.3": "SCw",  # MultiframeGrayscaleWordSecondaryCaptureImageStorage
    "1.2.840.10008.5.1.4.1.1.7.4": "SCc",  # MultiframeTrueColorSecondaryCaptureImageStorage
    "1.2.840.10008.5.1.4.1.1.8": "OV",  # StandaloneOverlayStorage (retired)
    "1.2.840.10008.5.1.4.1.1.9": "CV",  # StandaloneCurveStorage (retired)
    "1.2.840.10008.5.1.4.1.1.9.1": "WV_d",  # WaveformStorage (draft)
    "1.2.840.10008.5.1.4.1.1.9.1.1": "TLE",  # TwelveLeadECGWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.1.2": "ECG",  # GeneralECGWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.1.3": "ECA",  # AmbulatoryECGWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.1.4": "ECGh",  # General32BitECGWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.2.1": "WVh",  # HemodynamicWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.3.1": "WVc",  # CardiacElectrophysiologyWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.4.1": "AUV",  # BasicVoiceAudioWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.4.2": "AUG",  # GeneralAudioWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.5.1": "WVa",  # ArterialPulseWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.6.1": "WVr",  # RespiratoryWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.6.2": "WVm",  # MultichannelRespiratoryWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.7.1": "EEG",  # RoutineScalpElectroencephalogramWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.7.2": "EMG",  # ElectromyogramWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.7.3": "EOG",  # ElectrooculogramWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.7.4": "WVs",  # SleepElectroencephalogramWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.8.1": "WVb",  # BodyPositionWaveformStorage
    "1.2.840.10008.5.1.4.1.1.9.100.1": "PSw",  # WaveformPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.9.100.2": "PSq",  # WaveformAcquisitionPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.10": "ML",  # StandaloneModalityLUTStorage (retired)
    "1.2.840.10008.5.1.4.1.1.11": "VO",  # StandaloneVOILUTStorage (retired)
    "1.2.840.10008.5.1.4.1.1.11.1": "PSg",  # GrayscaleSoftcopyPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.2": "PSc",  # ColorSoftcopyPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.3": "PSp",  # PseudoColorSoftcopyPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.4": "PSb",  # BlendingSoftcopyPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.5": "PSx",  # XAXRFGrayscaleSoftcopyPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.6": "VPg",  # GrayscalePlanarMPRVolumetricPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.7": "VPc",  # CompositingPlanarMPRVolumetricPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.8": "PSa",  # AdvancedBlendingPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.9": "VPv",  # VolumeRenderingVolumetricPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.10": "VPs",  # SegmentedVolumeRenderingVolumetricPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.11": "VPm",  # MultipleVolumeRenderingVolumetricPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.11.12": "PSv",  # VariableModalityLUTSoftcopyPresentationStateStorage
    "1.2.840.10008.5.1.4.1.1.12.1": "XA",  # XRayAngiographicImageStorage
    "1.2.840.10008.5.1.4.1.1.12.1.1": "XAe",  # EnhancedXAImageStorage
    "1.2.840.10008.5.1.4.1.1.12.2": "RF",  # XRayRadiofluoroscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.12.2.1": "RFe",  # EnhancedXRFImageStorage
    "1.2.840.10008.5.1.4.1.1.12.3": "XB",  # XRayAngiographicBiPlaneImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.13.1.1": "XA3",  # XRay3DAngiographicImageStorage
    "1.2.840.10008.5.1.4.1.1.13.1.2": "XC3",  # XRay3DCraniofacialImageStorage
    "1.2.840.10008.5.1.4.1.1.13.1.3": "BT",  # BreastTomosynthesisImageStorage
    "1.2.840.10008.5.1.4.1.1.13.1.4": "BX",  # BreastProjectionXRayImageStorageForPresentation
    "1.2.840.10008.5.1.4.1.1.13.1.5": "BP",  # BreastProjectionXRayImageStorageForProcessing
    "1.2.840.10008.5.1.4.1.1.14.1": "OCt",  # IntravascularOpticalCoherenceTomographyImageStorageForPresentation
    "1.2.840.10008.5.1.4.1.1.14.2": "OCp",  # IntravascularOpticalCoherenceTomographyImageStorageForProcessing
    "1.2.840.10008.5.1.4.1.1.20": "NM",  # NuclearMedicineImageStorage
    "1.2.840.10008.5.1.4.1.1.30": "PM",  # ParametricMapStorage
    "1.2.840.10008.5.1.4.1.1.66": "RAW",  # RawDataStorage
    "1.2.840.10008.5.1.4.1.1.66.1": "RGs",  # SpatialRegistrationStorage
    "1.2.840.10008.5.1.4.1.1.66.2": "FID",  # SpatialFiducialsStorage
    "1.2.840.10008.5.1.4.1.1.66.3": "RGd",  # DeformableSpatialRegistrationStorage
    "1.2.840.10008.5.1.4.1.1.66.4": "SG",  # SegmentationStorage
    "1.2.840.10008.5.1.4.1.1.66.5": "SGs",  # SurfaceSegmentationStorage
    "1.2.840.10008.5.1.4.1.1.66.6": "TR",  # TractographyResultsStorage
    "1.2.840.10008.5.1.4.1.1.66.7": "SGl",  # LabelMapSegmentationStorage
    "1.2.840.10008.5.1.4.1.1.66.8": "SGh",  # HeightMapSegmentationStorage
    "1.2.840.10008.5.1.4.1.1.67": "RWM",  # RealWorldValueMappingStorage
    "1.2.840.10008.5.1.4.1.1.68.1": "SSm",  # SurfaceScanMeshStorage
    "1.2.840.10008.5.1.4.1.1.68.2": "SSp",  # SurfaceScanPointCloudStorage
    "1.2.840.10008.5.1.4.1.1.77.1": "VLr",  # VLImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.77.1.1": "VLe",  # VLEndoscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.1.1": "VVe",  # VideoEndoscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.2": "VLm",  # VLMicroscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.2.1": "VVm",  # VideoMicroscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.3": "VLs",  # VLSlideCoordinatesMicroscopicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VLp",  # VLPhotographicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.4.1": "VVp",  # VideoPhotographicImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.1": "OPb",  # OphthalmicPhotography8BitImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.2": "OPw",  # OphthalmicPhotography16BitImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.3": "OPr",  # StereometricRelationshipStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.4": "OPt",  # OphthalmicTomographyImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.5": "OWs",  # WideFieldOphthalmicPhotographyStereographicProjectionImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.6": "OW3",  # WideFieldOphthalmicPhotography3DCoordinatesImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.7": "OCe",  # OphthalmicOpticalCoherenceTomographyEnFaceImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.5.8": "OCb",  # OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage
    "1.2.840.10008.5.1.4.1.1.77.1.6": "VLw",  # VLWholeSlideMicroscopyImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.7": "VLd",  # DermoscopicPhotographyImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.8": "CFm",  # ConfocalMicroscopyImageStorage
    "1.2.840.10008.5.1.4.1.1.77.1.9": "CFt",  # ConfocalMicroscopyTiledPyramidalImageStorage
    "1.2.840.10008.5.1.4.1.1.77.2": "VMr",  # VLMultiframeImageStorage (retired)
    "1.2.840.10008.5.1.4.1.1.78.1": "OPl",  # LensometryMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.78.2": "OPa",  # AutorefractionMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.78.3": "OPk",  # KeratometryMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.78.4": "OPs",  # SubjectiveRefractionMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.78.5": "OPv",  # VisualAcuityMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.78.6": "SRs",  # SpectaclePrescriptionReportStorage
    "1.2.840.10008.5.1.4.1.1.78.7": "OPx",  # OphthalmicAxialMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.78.8": "OPc",  # IntraocularLensCalculationsStorage
    "1.2.840.10008.5.1.4.1.1.79.1": "SRg",  # MacularGridThicknessAndVolumeReportStorage
    "1.2.840.10008.5.1.4.1.1.80.1": "OPp",  # OphthalmicVisualFieldStaticPerimetryMeasurementsStorage
    "1.2.840.10008.5.1.4.1.1.81.1": "OPm",  # OphthalmicThicknessMapStorage
    "1.2.840.10008.5.1.4.1.1.82.1": "CM",  # CornealTopographyMapStorage
    "1.2.840.10008.5.1.4.1.1.88.1": "SR_t",  # SRTextStorage (draft)
    "1.2.840.10008.5.1.4.1.1.88.2": "SR_a",  # SRAudioStorage (draft)
    "1.2.840.10008.5.1.4.1.1.88.3": "SR_d",  # SRDetailStorage (draft)
    "1.2.840.10008.5.1.4.1.1.88.4": "SR_c",  # SRComprehensiveStorage (draft)
    "1.2.840.10008.5.1.4.1.1.88.11": "SRt",  # BasicTextSRStorage
    "1.2.840.10008.5.1.4.1.1.88.22": "SRe",  # EnhancedSRStorage
    "1.2.840.10008.5.1.4.1.1.88.33": "SRc",  # ComprehensiveSRStorage
    "1.2.840.10008.5.1.4.1.1.88.34": "SR3",  # Comprehensive3DSRStorage
    "1.2.840.10008.5.1.4.1.1.88.35": "SRx",  # ExtensibleSRStorage
    "1.2.840.10008.5.1.4.1.1.88.40": "SRp",  # ProcedureLogStorage
    "1.2.840.10008.5.1.4.1.1.88.50": "SRm",  # MammographyCADSRStorage
    "1.2.840.10008.5.1.4.1.1.88.59": "KO",  # KeyObjectSelectionDocumentStorage
    "1.2.840.10008.5.1.4.1.1.88.65": "SRh",  # ChestCADSRStorage
    "1.2.840.10008.5.1.4.1.1.88.67": "SRd",  # XRayRadiationDoseSRStorage
    "1.2.840.10008.5.1.4.1.1.88.68": "SRr",  # RadiopharmaceuticalRadiationDoseSRStorage
    "1.2.840.10008.5.1.4.1.1.88.69": "SRo",  # ColonCADSRStorage
    "1.2.840.10008.5.1.4.1.1.88.70": "SRi",  # ImplantationPlanSRStorage
    "1.2.840.10008.5.1.4.1.1.88.71": "SRa",  # AcquisitionContextSRStorage
    "1.2.840.10008.5.1.4.1.1.88.72": "SRu",  # SimplifiedAdultEchoSRStorage
    "1.2.840.10008.5.1.4.1.1.88.73": "SRq",  # PatientRadiationDoseSRStorage
    "1.2.840.10008.5.1.4.1.1.88.74": "SRj",  # PlannedImagingAgentAdministrationSRStorage
    "1.2.840.10008.5.1.4.1.1.88.75": "SRi",  # PerformedImagingAgentAdministrationSRStorage
    "1.2.840.10008.5.1.4.1.1.88.76": "SRde",  # EnhancedXRayRadiationDoseSRStorage
    "1.2.840.10008.5.1.4.1.1.88.77": "SRw",  # WaveformAnnotationSRStorage
    "1.2.840.10008.5.1.4.1.1.90.1": "AS",  # ContentAssessmentResultsStorage
    "1.2.840.10008.5.1.4.1.1.91.1": "MAs",  # MicroscopyBulkSimpleAnnotationsStorage
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF",  # EncapsulatedPDFStorage
    "1.2.840.10008.5.1.4.1.1.104.2": "CDA",  # EncapsulatedCDAStorage
    "1.2.840.10008.5.1.4.1.1.104.3": "STL",  # EncapsulatedSTLStorage
    "1.2.840.10008.5.1.4.1.1.104.4": "OBJ",  # EncapsulatedOBJStorage
    "1.2.840.10008.5.1.4.1.1.104.5": "MTL",  # EncapsulatedMTLStorage
    "1.2.840.10008.5.1.4.1.1.128": "PI",  # PositronEmissionTomographyImageStorage
    "1.2.840.10008.5.1.4.1.1.128.1": "PIl",  # LegacyConvertedEnhancedPETImageStorage
    "1.2.840.10008.5.1.4.1.1.129": "PC",  # StandalonePETCurveStorage (retired)
    "1.2.840.10008.5.1.4.1.1.130": "PIe",  # EnhancedPETImageStorage
    "1.2.840.10008.5.1.4.1.1.131": "SD",  # BasicStructuredDisplayStorage
    "1.2.840.10008.5.1.4.1.1.200.1": "PPcd",  # CTDefinedProcedureProtocolStorage
    "1.2.840.10008.5.1.4.1.1.200.2": "PPcp",  # CTPerformedProcedureProtocolStorage
    "1.2.840.10008.5.1.4.1.1.200.3": "PAp",  # ProtocolApprovalStorage
    "1.2.840.10008.5.1.4.1.1.200.7": "PPxd",  # XADefinedProcedureProtocolStorage
    "1.2.840.10008.5.1.4.1.1.200.8": "PPxp",  # XAPerformedProcedureProtocolStorage
    "1.2.840.10008.5.1.4.1.1.201.1": "INV",  # InventoryStorage
    "1.2.840.10008.5.1.4.1.1.481.1": "RI",  # RTImageStorage
    "1.2.840.10008.5.1.4.1.1.481.2": "RD",  # RTDoseStorage
    "1.2.840.10008.5.1.4.1.1.481.3": "RS",  # RTStructureSetStorage
    "1.2.840.10008.5.1.4.1.1.481.4": "RTb",  # RTBeamsTreatmentRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.5": "RP",  # RTPlanStorage
    "1.2.840.10008.5.1.4.1.1.481.6": "RTr",  # RTBrachyTreatmentRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.7": "RTs",  # RTTreatmentSummaryRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.8": "RPi",  # RTIonPlanStorage
    "1.2.840.10008.5.1.4.1.1.481.9": "RTi",  # RTIonBeamsTreatmentRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.10": "RIp",  # RTPhysicianIntentStorage
    "1.2.840.10008.5.1.4.1.1.481.11": "RAs",  # RTSegmentAnnotationStorage
    "1.2.840.10008.5.1.4.1.1.481.12": "RSe",  # RTRadiationSetStorage
    "1.2.840.10008.5.1.4.1.1.481.13": "Rca",  # CArmPhotonElectronRadiationStorage
    "1.2.840.10008.5.1.4.1.1.481.14": "Rto",  # TomotherapeuticRadiationStorage
    "1.2.840.10008.5.1.4.1.1.481.15": "Rra",  # RoboticArmRadiationStorage
    "1.2.840.10008.5.1.4.1.1.481.16": "RSr",  # RTRadiationRecordSetStorage
    "1.2.840.10008.5.1.4.1.1.481.17": "RRs",  # RTRadiationSalvageRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.18": "RRt",  # TomotherapeuticRadiationRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.19": "RRc",  # CArmPhotonElectronRadiationRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.20": "RRr",  # RoboticRadiationRecordStorage
    "1.2.840.10008.5.1.4.1.1.481.21": "RSd",  # RTRadiationSetDeliveryInstructionStorage
    "1.2.840.10008.5.1.4.1.1.481.22": "RTp",  # RTTreatmentPreparationStorage
    "1.2.840.10008.5.1.4.1.1.481.23": "RIe",  # EnhancedRTImageStorage
    "1.2.840.10008.5.1.4.1.1.481.24": "RIc",  # EnhancedContinuousRTImageStorage
    "1.2.840.10008.5.1.4.1.1.481.25": "RPp",  # RTPatientPositionAcquisitionInstructionStorage
    "1.2.840.10008.5.1.4.1.1.501.1": "CTs",  # DICOS_CTImageStorage
    "1.2.840.10008.5.1.4.1.1.501.2.1": "DXs",  # DICOS_DigitalXRayImageStorageForPresentation
    "1.2.840.10008.5.1.4.1.1.501.2.2": "DPs",  # DICOS_DigitalXRayImageStorageForProcessing
    "1.2.840.10008.5.1.4.1.1.501.3": "TDR",  # DICOS_ThreatDetectionReportStorage
    "1.2.840.10008.5.1.4.1.1.501.4": "AI2",  # DICOS_2DAITStorage
    "1.2.840.10008.5.1.4.1.1.501.5": "AI3",  # DICOS_3DAITStorage
    "1.2.840.10008.5.1.4.1.1.501.6": "QR",  # DICOS_QuadrupoleResonanceStorage
    "1.2.840.10008.5.1.4.1.1.601.1": "EC",  # DICONDE_EddyCurrentImageStorage
    "1.2.840.10008.5.1.4.1.1.601.2": "ECm",  # DICONDE_EddyCurrentMultiframeImageStorage
    "1.2.840.10008.5.1.4.1.1.601.3": "TG",  # DICONDE_ThermographyImageStorage
    "1.2.840.10008.5.1.4.1.1.601.4": "TGm",  # DICONDE_ThermographyMultiFrameImageStorage
    "1.2.840.10008.5.1.4.1.1.601.5": "UW",  # DICONDE_UltrasoundWaveformStorage
    "1.2.840.10008.5.1.4.34.1": "RB_d",  # RTBeamsDeliveryInstructionStorage (draft)
    "1.2.840.10008.5.1.4.34.7": "RTd",  # RTBeamsDeliveryInstructionStorage
    "1.2.840.10008.5.1.4.34.10": "RTa",  # RTBrachyApplicationSetupDeliveryInstructionStorage
    "1.2.840.10008.5.1.4.38.1": "HP",  # HangingProtocolStorage
    "1.2.840.10008.5.1.4.39.1": "CP",  # ColorPaletteStorage
    "1.2.840.10008.5.1.4.43.1": "IT",  # GenericImplantTemplateStorage
    "1.2.840.10008.5.1.4.44.1": "ITa",  # ImplantAssemblyTemplateStorage
    "1.2.840.10008.5.1.4.45.1": "ITg",  # ImplantTemplateGroupStorage
}

#: Below the first of these arcs UIDs are those of the standard, below the second its storage SOP classes.
_STANDARD_ARC = "1.2.840.10008."
_STORAGE_ARC = "1.2.840.10008.5.1.4.1.1."
#: What else the standard has below the second.
_NO_STORAGE_SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.200.4",  # ProtocolApprovalInformationModelFind
        "1.2.840.10008.5.1.4.1.1.200.5",  # ProtocolApprovalInformationModelMove
        "1.2.840.10008.5.1.4.1.1.200.6",  # ProtocolApprovalInformationModelGet
        "1.2.840.10008.5.1.4.1.1.201.2",  # InventoryFind
        "1.2.840.10008.5.1.4.1.1.201.3",  # InventoryMove
        "1.2.840.10008.5.1.4.1.1.201.4",  # InventoryGet
        "1.2.840.10008.5.1.4.1.1.201.5",  # InventoryCreation
        "1.2.840.10008.5.1.4.1.1.201.6",  # RepositoryQuery
    }
)
_MAXIMUM_UID_LENGTH = 64


def mayBeStorageSOPClass(uid: str) -> bool:
    """
    Tell whether a UID is a storage SOP class for all we know: one of ours, or an unknown one.

    The other services of the standard are known, by the arc in which it has registered their UIDs. What it will add to
    that of the storage SOP classes is taken for one of those.
    """
    if uid in FILE_PREFIXES:
        return True
    foreign = uid.startswith(_STANDARD_ARC) and not uid.startswith(_STORAGE_ARC)
    return isValidUID(uid) and not foreign and uid not in _NO_STORAGE_SOP_CLASSES


def isValidUID(uid: str) -> bool:
    """
    Tell whether a text has the form of a UID (PS3.5 9.1): 1 to 64 characters, numbers with single dots between them.

    Numbers may begin with zeros here, since real machines send such; the text is safe as a part of a file name.
    """
    if len(uid) > _MAXIMUM_UID_LENGTH or not uid.isascii():
        return False
    return uid.replace(".", "").isdigit() and ".." not in f".{uid}."
